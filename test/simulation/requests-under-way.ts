import type { PutRecordsEntry } from '@shardwise/core/kinesis-port'
import type { EntryContents } from './entry-contents.js'
import type { Put } from './stream-log.js'

export interface RequestsUnderWayOptions {
  readonly contents: EntryContents
  readonly violated: (what: string) => void
}

/**
 * What processes have sent, and wait for. PutRecords keeps no order among its entries, each fails by itself, and requests overtake each other: who
 * promises order has at most one entry with records of a key under way. Two of them mostly arrive in their order, and then nothing else shows it.
 */
export class RequestsUnderWay {
  readonly #options: RequestsUnderWayOptions
  /** By process, stream and key: a record of the entry that is under way. */
  readonly #underWay = new Map<string, Put>()

  constructor(options: RequestsUnderWayOptions) {
    this.#options = options
  }

  /** A process sends these. Gives what is to be called when it knows the outcome, and when it waits no longer. */
  sends(by: string, entries: readonly PutRecordsEntry[]): () => void {
    const begun = new Map<string, Put>()
    for (const entry of entries) {
      const ofEntry = new Map<string, Put>()
      for (const { put } of this.#options.contents.of(entry).members)
        if (put?.isOrdered === true) ofEntry.set(`${by} ${put.stream} ${put.key}`, put)
      for (const [key, put] of ofEntry) {
        const other = this.#underWay.get(key)
        if (other !== undefined) this.#options.violated(`${by} sends ${put.id} while ${other.id} of the same key is under way`)
        this.#underWay.set(key, put)
        begun.set(key, put)
      }
    }
    return () => {
      for (const [key, put] of begun) if (this.#underWay.get(key) === put) this.#underWay.delete(key)
      begun.clear()
    }
  }
}
