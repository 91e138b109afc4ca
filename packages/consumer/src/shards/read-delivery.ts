import type { Clock } from '@shardwise/core/clock'
import type { Codec } from '@shardwise/core/codec'
import type { Position } from '../checkpoints/position.js'
import type { ShardCheckpoints } from '../checkpoints/shard-checkpoints.js'
import type { Delivery } from '../delivery/delivery.js'
import type { RecordPreparation } from '../delivery/record-preparation.js'
import type { PulledShard } from '../delivery/shard-stream.js'
import { UserRecords } from '../delivery/user-records.js'
import { withLast } from '../delivery/with-last.js'
import type { HeldLease } from '../leases/held-lease.js'
import type { ProcessorCalls } from '../processors/processor-calls.js'
import type { HandlerWait } from './handler-wait.js'
import { type ReadCounts, ReadTally } from './read-tally.js'
import type { ShardRead, ShardReads } from './shard-reads.js'
import type { BatchCompletedEvent } from './shard-worker-event.js'

export interface ReadDeliveryOptions {
  readonly stream: string
  readonly codec?: Codec<unknown> | undefined
  readonly lease: Pick<HeldLease, 'shardId' | 'range' | 'resumeFrom'>
  readonly delivery: Delivery
  readonly checkpoints: Pick<ShardCheckpoints, 'forget' | 'startAt'>
  readonly preparation: Pick<RecordPreparation, 'prepare'>
  readonly processor: Pick<ProcessorCalls, 'reading'> | undefined
  readonly pulled?: Pick<PulledShard, 'last'> | undefined
  readonly reads: Pick<ShardReads, 'completed'>
  readonly wait: Pick<HandlerWait, 'isAbandoned'>
  readonly clock: Clock
  readonly emit: (event: BatchCompletedEvent) => void
}

/** Hands the reads of one shard to its delivery, unpacked, and announces those that are completed. */
export class ReadDelivery {
  readonly #options: ReadDeliveryOptions
  readonly #parts = new Set<Promise<boolean>>()
  #records: UserRecords
  #duplicates = 0

  constructor(options: ReadDeliveryOptions) {
    this.#options = options
    this.#records = this.#recordsAfter(options.lease.resumeFrom)
  }

  /** Before the first read: it begins after another position than the lease's checkpoint. */
  startAt(position: Position): void {
    this.#records = this.#recordsAfter(position)
    this.#options.checkpoints.startAt(position)
  }

  /** Records not handed over, as copies of what was completed before. */
  get duplicates(): number {
    return this.#duplicates
  }

  /** Some are in the hands of the delivery. */
  get isHandling(): boolean {
    return this.#parts.size > 0
  }

  /**
   * Hands a read over as far as there is room. True when the next may come, or, where none comes, when all of the shard is completed; false
   * when halted before.
   */
  async deliver(read: ShardRead): Promise<boolean> {
    const { delivery, checkpoints, preparation, processor, pulled, clock } = this.#options
    const since = clock.now()
    const tally = new ReadTally()
    const completed = (duplicates: number): void => {
      const counts = tally.completed(duplicates)
      if (counts !== undefined) this.#completed(read, counts, since)
    }
    if (read.fromOldest === true) {
      this.#records.forgetCheckpoint()
      checkpoints.forget()
    }
    for (const [records, last] of withLast(this.#records.batches(read.records))) {
      if (!(await delivery.room()) || !(await preparation.prepare(records))) return false
      processor?.reading({ at: read.readAt, children: last ? read.children : undefined })
      tally.handedIn(records)
      const part = delivery.deliver(records, read.millisBehindLatest, completed)
      this.#parts.add(part)
      const forget = (): void => void this.#parts.delete(part)
      part.then(forget, forget)
    }
    completed(0)
    if (read.children === undefined) return delivery.room()
    pulled?.last()
    return (await Promise.all(this.#parts)).every(Boolean)
  }

  /** Resolves when the delivery has nothing in its hands any more. */
  async settled(): Promise<true> {
    await Promise.allSettled(this.#parts)
    return true
  }

  #completed(read: ShardRead, counts: ReadCounts, since: number): void {
    const { lease, reads, wait, clock, emit } = this.#options
    if (wait.isAbandoned) return
    this.#duplicates += counts.duplicates
    reads.completed(read)
    emit({
      type: 'batch-completed',
      shardId: lease.shardId,
      kinesisRecords: read.records.length,
      bytes: read.bytes,
      millisBehindLatest: read.millisBehindLatest,
      durationMs: clock.now() - since,
      ...counts,
    })
  }

  #recordsAfter(resumeFrom: Position): UserRecords {
    const { stream, lease, codec } = this.#options
    const { shardId, range } = lease
    return new UserRecords({ stream, shardId, range, resumeFrom, codec })
  }
}
