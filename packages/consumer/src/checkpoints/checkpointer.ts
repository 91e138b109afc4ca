import type { Clock, Scheduled } from '@shardwise/core/clock'
import type { HeldLease } from '../leases/held-lease.js'
import type { Position, SequencePosition } from './position.js'

export interface CheckpointerOptions {
  readonly lease: Pick<HeldLease, 'isOurs' | 'checkpoint' | 'checkpointNow'>
  /** Milliseconds from completion to a write of its own. Undefined: renewals carry checkpoints, and are written anyway. */
  readonly writeAfterMs: number | undefined
  /** A write of its own also whenever so many records have been completed. */
  readonly everyRecords: number | undefined
  readonly clock: Clock
}

/**
 * Brings the completed prefix of one shard into its lease. Handing it over is no write: the lease remembers it, and whatever it writes
 * next carries it, under the condition that the lease is still ours. Where renewals are too seldom, one write a period is added.
 */
export class Checkpointer {
  readonly #options: CheckpointerOptions
  #newest: Position | undefined
  /** Completed since the last write of its own was begun. */
  #records = 0
  #timer: Scheduled | undefined
  #writing = false
  #closed = false

  constructor(options: CheckpointerOptions) {
    this.#options = options
  }

  /** `position` is the last record of the completed prefix, of which `records` are new. */
  completed(position: SequencePosition, records: number): void {
    this.#newest = position
    this.#records += records
    this.#options.lease.checkpoint(position)
    this.#follow()
  }

  /**
   * No write of its own begins any more. One under way is not waited for: while the table cannot be reached it does not settle before the
   * lease is released, which comes next, and which carries the same checkpoint.
   */
  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #follow(): void {
    const { writeAfterMs, everyRecords, clock } = this.#options
    if (this.#closed || this.#writing) return
    if (everyRecords !== undefined && this.#records >= everyRecords) {
      this.#timer?.cancel()
      this.#timer = undefined
      void this.#write()
      return
    }
    if (writeAfterMs === undefined || this.#timer !== undefined) return
    this.#timer = clock.schedule(writeAfterMs, () => {
      this.#timer = undefined
      void this.#write()
    })
  }

  async #write(): Promise<void> {
    const { lease } = this.#options
    const position = this.#newest!
    this.#writing = true
    this.#records = 0
    try {
      // In doubt the lease renews by itself first, and that carries the checkpoint.
      if (lease.isOurs()) await lease.checkpointNow(position)
    } catch {
      // The lease is lost: its signal says so to everyone concerned.
    }
    this.#writing = false
    if (position !== this.#newest) this.#follow()
  }
}
