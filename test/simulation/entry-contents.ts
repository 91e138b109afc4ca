import { decodeAggregate } from '@shardwise/aggregation'
import { effectiveHashKey } from '@shardwise/core/hash-key'
import type { PutRecordsEntry } from '@shardwise/core/kinesis-port'
import type { Put } from './stream-log.js'

export interface EntryContent {
  readonly isAggregate: boolean
  readonly members: readonly {
    readonly text: string
    /** Undefined: nobody put it. */
    readonly put: Put | undefined
    readonly hashKey: bigint
    readonly subSequenceNumber: number
  }[]
}

/** What is in the entries of requests. They are looked at when they are sent and when they arrive, and decoded once. */
export class EntryContents {
  readonly #puts: ReadonlyMap<string, Put>
  readonly #decode: (bytes: Uint8Array) => string
  /** By the bytes on the wire. */
  readonly #known = new WeakMap<Uint8Array, EntryContent>()

  constructor(puts: ReadonlyMap<string, Put>, decode: (bytes: Uint8Array) => string) {
    this.#puts = puts
    this.#decode = decode
  }

  of({ Data, PartitionKey, ExplicitHashKey }: PutRecordsEntry): EntryContent {
    const known = this.#known.get(Data)
    if (known !== undefined) return known
    const aggregate = decodeAggregate(Data)
    const members = aggregate
      ? Array.from(aggregate)
      : [{ data: Data, partitionKey: PartitionKey, explicitHashKey: ExplicitHashKey, subSequenceNumber: 0 }]
    const content = {
      isAggregate: aggregate !== undefined,
      members: members.map(({ data, partitionKey, explicitHashKey, subSequenceNumber }) => {
        const text = this.#decode(data)
        const hashKey = effectiveHashKey(partitionKey, explicitHashKey)
        return { text, put: this.#puts.get(text.slice(0, text.indexOf(' '))), hashKey, subSequenceNumber }
      }),
    }
    this.#known.set(Data, content)
    return content
  }
}
