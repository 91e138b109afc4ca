import type { Clock } from '@shardwise/core/clock'
import type { Codec } from '@shardwise/core/codec'
import type { Position } from '../checkpoints/position.js'
import type { ShardCheckpoints } from '../checkpoints/shard-checkpoints.js'
import type { Completed, Delivery } from '../delivery/delivery.js'
import { LoopTurns } from '../delivery/loop-turns.js'
import type { RecordPreparation } from '../delivery/record-preparation.js'
import type { PulledShard } from '../delivery/shard-stream.js'
import { UnpackedRead, type UserRecordPart } from '../delivery/unpacked-read.js'
import { UserRecords } from '../delivery/user-records.js'
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
  readonly preparation: Pick<RecordPreparation, 'isNeeded' | 'prepare'>
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
  readonly #loop: LoopTurns
  readonly #parts = new Set<Promise<boolean>>()
  #records: UserRecords
  #duplicates = 0

  constructor(options: ReadDeliveryOptions) {
    this.#options = options
    this.#loop = LoopTurns.of(options.clock)
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
    const { delivery, checkpoints, pulled, clock } = this.#options
    const since = clock.now()
    const tally = new ReadTally()
    const completed: Completed = (duplicates) => {
      const counts = tally.completed(duplicates)
      if (counts !== undefined) this.#completed(read, counts, since)
    }
    if (read.fromOldest === true) {
      this.#records.forgetCheckpoint()
      checkpoints.forget()
    }
    const unpacked = this.#loop.keeping(() => new UnpackedRead(read.records, this.#records))
    while (unpacked.hasMore) {
      if (!(await delivery.room())) return false
      // The turn is taken before, and not between unpacking and the handler call: shards that wait in between would all have their records in memory.
      const turn = this.#loop.turn()
      if (turn !== undefined) await turn
      const handedOver = this.#handOver(unpacked, read, tally, completed)
      if (handedOver !== true && !(await handedOver)) return false
    }
    completed(0)
    if (read.children === undefined) return delivery.room()
    pulled?.last()
    return (await Promise.all(this.#parts)).every(Boolean)
  }

  /**
   * The next part. False when halted before. Not in the loop above: what waits for something, as that does for room and its turn, keeps in memory whatever
   * it has had in a variable.
   */
  #handOver(unpacked: UnpackedRead, read: ShardRead, tally: ReadTally, completed: Completed): true | Promise<boolean> {
    const { preparation, clock } = this.#options
    const since = clock.now()
    const part = unpacked.take(this.#options.delivery.partRecords)
    const keptMs = clock.now() - since
    const isLast = !unpacked.hasMore
    if (preparation.isNeeded) {
      this.#loop.kept(keptMs)
      return preparation.prepare(part.records).then((prepared) => prepared && this.#deliver(part, isLast, read, tally, completed))
    }
    this.#deliver(part, isLast, read, tally, completed)
    this.#loop.kept(keptMs)
    return true
  }

  #deliver(part: UserRecordPart, isLast: boolean, read: ShardRead, tally: ReadTally, completed: Completed): true {
    const { delivery, processor } = this.#options
    processor?.reading({ at: read.readAt, children: isLast ? read.children : undefined })
    tally.handedIn(part)
    const delivered = delivery.deliver(part.records, read.millisBehindLatest, completed)
    this.#parts.add(delivered)
    const forget = (): void => void this.#parts.delete(delivered)
    delivered.then(forget, forget)
    return true
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
