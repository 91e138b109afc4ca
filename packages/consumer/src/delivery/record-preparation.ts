import { type Clock, sleep } from '@shardwise/core/clock'
import type { Codec } from '@shardwise/core/codec'
import type { Random } from '@shardwise/core/random'
import { type Backoff, backoffDelay } from '../backoff.js'
import type { UserRecord } from './consumed-record.js'

/** What the codec must fetch before it decodes, such as a data key, cannot be had for now. The shard waits, and it is asked for again. */
export interface DecodeDelayedEvent {
  readonly type: 'decode-delayed'
  readonly shardId: string
  /** The first record that waits. */
  readonly sequenceNumber: string
  readonly subSequenceNumber: number
  readonly error: unknown
  readonly attempt: number
  readonly retryInMs: number
}

export interface RecordPreparationOptions {
  readonly codec: Codec<unknown> | undefined
  readonly shardId: string
  readonly handlerBackoff: Backoff
  readonly clock: Clock
  readonly random: Random
  readonly halt: AbortSignal
  readonly emit: (event: DecodeDelayedEvent) => void
}

/** Fetches asked for at a time: thousands of records may each have a key of its own. */
const FETCHES_AT_A_TIME = 16

/**
 * Has the codec fetch what it needs for records before they are handed over. A key service that is away is no failure of a record: no attempt of
 * `onFailure` counts, and nothing is given up for it.
 */
export class RecordPreparation {
  readonly #options: RecordPreparationOptions

  constructor(options: RecordPreparationOptions) {
    this.#options = options
  }

  /** Whether the codec may have something to fetch. */
  get isNeeded(): boolean {
    return this.#options.codec?.prepareDecode !== undefined
  }

  /** False when halted before. */
  async prepare(records: readonly UserRecord[]): Promise<boolean> {
    const { halt } = this.#options
    if (!this.isNeeded) return true
    let from = 0
    for (let attempt = 1; from < records.length; ) {
      const fetches: Promise<void>[] = []
      let to = from
      for (; to < records.length && fetches.length < FETCHES_AT_A_TIME; to++) {
        const fetch = fetchOf(records[to]!)
        if (fetch !== undefined) fetches.push(fetch)
      }
      if (fetches.length > 0) {
        const settled = await unlessHalted(Promise.allSettled(fetches), halt)
        if (settled === undefined) return false
        const failure = settled.find((fetch) => fetch.status === 'rejected')
        if (failure !== undefined) {
          if (!(await this.#pause(records[from]!, failure.reason, attempt++))) return false
          continue
        }
      }
      attempt = 1
      from = to
    }
    return true
  }

  async #pause({ sequenceNumber, subSequenceNumber }: UserRecord, error: unknown, attempt: number): Promise<boolean> {
    const { shardId, handlerBackoff, clock, random, halt, emit } = this.#options
    const retryInMs = backoffDelay(attempt, handlerBackoff, random)
    emit({ type: 'decode-delayed', shardId, sequenceNumber, subSequenceNumber, error, attempt, retryInMs })
    return sleep(clock, retryInMs, { signal: halt }).then(
      () => true,
      () => false,
    )
  }
}

/** Undefined once halted: a hanging key service must not keep the lease from being handed over. */
function unlessHalted<R>(work: Promise<R>, halt: AbortSignal): Promise<R | undefined> {
  return new Promise((resolve) => {
    const halted = (): void => resolve(undefined)
    if (halt.aborted) halted()
    halt.addEventListener('abort', halted)
    void work.then(resolve).finally(() => halt.removeEventListener('abort', halted))
  })
}

/** What a codec throws here it will say again when it decodes. */
function fetchOf(record: UserRecord): Promise<void> | undefined {
  try {
    return record.prepare()
  } catch {
    return undefined
  }
}
