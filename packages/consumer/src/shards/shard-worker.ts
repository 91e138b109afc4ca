import type { Clock } from '@shardwise/core/clock'
import type { Codec } from '@shardwise/core/codec'
import type { ChildShard } from '@shardwise/core/kinesis-port'
import type { Random } from '@shardwise/core/random'
import type { Backoff } from '../backoff.js'
import { type CheckpointAwaitedEvent, untilConfirmed } from '../checkpoints/checkpoint-confirmation.js'
import { Checkpointer } from '../checkpoints/checkpointer.js'
import type { Position } from '../checkpoints/position.js'
import { ShardCheckpoints } from '../checkpoints/shard-checkpoints.js'
import type { RecordPosition } from '../delivery/completed-prefix.js'
import type { Delivery } from '../delivery/delivery.js'
import type { DeliveryEvent } from '../delivery/delivery-event.js'
import { HandlerPermit } from '../delivery/handler-permit.js'
import { InOrderDelivery } from '../delivery/in-order-delivery.js'
import { KeyedDelivery } from '../delivery/keyed-delivery.js'
import { PulledDelivery } from '../delivery/pulled-delivery.js'
import type { RecordIdWindow } from '../delivery/record-id-window.js'
import type { PulledShard } from '../delivery/shard-stream.js'
import type { StartGate } from '../delivery/start-gate.js'
import { UserRecords } from '../delivery/user-records.js'
import { withLast } from '../delivery/with-last.js'
import type { HeldLease } from '../leases/held-lease.js'
import { LeaseLostError } from '../leases/lease-lost-error.js'
import { ProcessorCalls, type ProcessorEvent } from '../processors/processor-calls.js'
import type { RunHandlers } from '../run-handlers.js'
import type { RunSettings } from '../run-options.js'
import { sharedAbort } from '../shared-abort.js'
import type { ShardRoom } from '../sources/byte-budget.js'
import type { FetchedBatch, RecordSource, SourceEvent } from '../sources/record-source.js'
import type { StopLimit } from '../stop-limit.js'
import { ReadProgress, type ReadSnapshot } from './read-progress.js'
import type { ReadWatch } from './read-watch.js'
import { type ShardWorkerInput, type ShardWorkerState, transition } from './shard-worker-state.js'

export interface ShardWorkerOptions {
  /** As given in the consumer's options. */
  readonly stream: string
  /** Default: bytes as they are. */
  readonly codec?: Codec<unknown> | undefined
  readonly lease: HeldLease
  readonly source: RecordSource
  /** Also told of what the source announces. */
  readonly reading: ReadWatch
  /** Where the source holds what it reads. */
  readonly room: Pick<ShardRoom, 'free' | 'leave' | 'waiting'>
  readonly handlers: RunHandlers
  /** See HandlerCalls. */
  readonly recordIds?: RecordIdWindow | undefined
  readonly run: RunSettings
  /** Records are asked for, from the place and the moment on that it says, and handlers not called. */
  readonly pulled?: PulledShard | undefined
  readonly handlerBackoff: Backoff
  /** Handler calls begin while all of these are open. */
  readonly gates: readonly StartGate[]
  readonly stopLimit: Pick<StopLimit, 'expired' | 'abandoned'>
  /** See Checkpointer. */
  readonly checkpointWriteAfterMs: number | undefined
  readonly checkpointEveryRecords: number | undefined
  readonly clock: Clock
  readonly random: Random
  readonly emit: (event: ShardWorkerEvent) => void
}

export type ShardWorkerEvent =
  | SourceEvent
  | DeliveryEvent
  | CheckpointAwaitedEvent
  | ProcessorEvent
  /** This process begins to read a shard, after `resumeFrom`. */
  | { readonly type: 'shard-started'; readonly shardId: string; readonly resumeFrom: Position }
  /** All user records of one read are completed. Empty reads count too, since they tell the lag. */
  | {
      readonly type: 'batch-completed'
      readonly shardId: string
      readonly records: number
      readonly kinesisRecords: number
      readonly bytes: number
      /** Members of aggregates that do not belong to this shard: see ConsumedRecord. */
      readonly outsideShardRange: number
      /** Not handed over, as copies of what was completed before: `dedupe`. */
      readonly duplicates: number
      readonly millisBehindLatest: number | undefined
      /** From having the records to their completion. */
      readonly durationMs: number
    }
  /**
   * The consumer stopped and waited no longer for the handler. The shard is given back at the last completed record; whatever the handler still
   * does, `records` and more are delivered again by the next owner. Comes before `shard-stopped`.
   */
  | { readonly type: 'handler-abandoned'; readonly shardId: string; readonly records: number }
  /** This process is done with a shard: it was read to its end, its lease was given up, or lost. */
  | { readonly type: 'shard-stopped'; readonly shardId: string; readonly outcome: 'ended' | 'released' | 'lost' }
  /** A fault of this library, or a lease row that makes no sense. The lease is given up, and the shard tried again by whoever takes it. */
  | { readonly type: 'shard-failed'; readonly shardId: string; readonly error: unknown }

type BatchCompleted = Extract<ShardWorkerEvent, { readonly type: 'batch-completed' }>

export interface WorkerSnapshot extends ReadSnapshot {
  readonly state: ShardWorkerState
  /** Grows with every acquisition of the lease by anyone. */
  readonly generation: number
  /** The last record completed without a gap, or where reading began. Automatic checkpoints: the lease's next write carries it. */
  readonly completed: Position
  /** The record at which `onFailure: 'stop-shard'` stopped the shard. */
  readonly blockedAt: RecordPosition | undefined
  /** Records that this worker did not hand over, as copies of what was completed before: `dedupe`. */
  readonly duplicates: number
  /** The next read waits until records in hand are completed, of this shard or others: `maxBufferedBytes`. */
  readonly waitingForMemory: boolean
  /** The shard has been read to its end and waits for the handler's checkpoint of its last record. */
  readonly awaitsCheckpoint: boolean
}

interface ReadBatch extends FetchedBatch {
  /** Epoch milliseconds. */
  readonly readAt: number
}

/** What may lie in memory, uncompleted, before a read ahead begins: with one read on top, no more than about 18 MiB a shard. */
const PREFETCH_BELOW_BYTES = 8 * 1024 * 1024

/**
 * Reads one shard under one lease and delivers it, until the shard ends, the lease is to be given up, or is lost. While the handler works
 * on one read the next is fetched, and no more than the delivery has room for: a slow handler is felt by the source.
 */
export class ShardWorker {
  readonly #options: ShardWorkerOptions
  readonly #delivery: Delivery
  readonly #delivering = new Set<Promise<boolean>>()
  readonly #checkpointer: Checkpointer
  readonly #checkpoints: ShardCheckpoints
  #records: UserRecords
  /** Aborts as soon as nothing new may begin. */
  readonly #halt = sharedAbort()
  readonly #permit: HandlerPermit
  readonly #processor: ProcessorCalls | undefined
  readonly #progress = new ReadProgress()
  #duplicates = 0
  /** Everything is completed. */
  #ending = false
  #abandoned = false
  #state: ShardWorkerState = 'starting'

  constructor(options: ShardWorkerOptions) {
    this.#options = options
    const { stream, lease, handlers, recordIds, run, pulled, handlerBackoff, gates } = options
    const { checkpointWriteAfterMs, clock, random, emit } = options
    this.#records = this.#recordsAfter(lease.resumeFrom)
    const { concurrency } = run
    this.#checkpointer = new Checkpointer({
      lease,
      writeAfterMs: checkpointWriteAfterMs,
      everyRecords: options.checkpointEveryRecords,
      clock,
    })
    this.#checkpoints = new ShardCheckpoints({
      stream,
      lease,
      automatic: run.checkpoint === 'auto' ? this.#checkpointer : undefined,
      sideBySide: concurrency > 1,
    })
    this.#permit = new HandlerPermit({ lease, gates, halt: this.#halt.signal })
    const calls = { checkpoints: this.#checkpoints, backoff: handlerBackoff, clock, random, halt: this.#halt.signal, emit }
    const { shardRecordProcessor: factory } = handlers
    this.#processor = factory && new ProcessorCalls({ ...calls, stream, factory, lease, permit: this.#permit })
    const delivery = {
      ...calls,
      lease: this.#permit,
      handlers: handlers.shardRecordProcessor === undefined ? handlers : this.#processor!.handlers,
      recordIds,
      onFailure: run.onFailure,
    }
    if (pulled !== undefined) {
      const pull = new PulledDelivery(delivery)
      pulled.connect({ delivery: pull, checkpoints: this.#checkpoints, signal: this.#permit.signal })
      this.#delivery = pull
    } else this.#delivery = concurrency > 1 ? new KeyedDelivery({ ...delivery, concurrency }) : new InOrderDelivery(delivery)
  }

  get state(): ShardWorkerState {
    return this.#state
  }

  snapshot(): WorkerSnapshot {
    return {
      state: this.#state,
      generation: this.#options.lease.generation,
      completed: this.#checkpoints.end,
      blockedAt: this.#delivery.blockedAt,
      duplicates: this.#duplicates,
      waitingForMemory: this.#options.room.waiting,
      awaitsCheckpoint: this.#ending && !this.#checkpoints.isConfirmed,
      ...this.#progress.snapshot(),
    }
  }

  /** Runs once. Resolves when this worker touches neither records nor lease any more; never rejects. */
  async run(): Promise<void> {
    const { lease, pulled, room, stopLimit, emit } = this.#options
    const { shardId } = lease
    const drain = (): void => this.#take('drain')
    const lost = (): void => {
      this.#take('lease-lost')
      this.#permit.revoke(lease.signal.reason)
    }
    const expired = (): void => {
      // The coordinator's word may be on its way still.
      drain()
      this.#permit.revoke(stopLimit.expired.reason)
    }
    if (lease.signal.aborted) lost()
    else if (stopLimit.expired.aborted) expired()
    else if (lease.drain.aborted) drain()
    lease.signal.addEventListener('abort', lost)
    stopLimit.expired.addEventListener('abort', expired)
    lease.drain.addEventListener('abort', drain)
    pulled?.left.addEventListener('abort', drain)
    try {
      const children = (await this.#begins()) ? await this.#process() : undefined
      this.#checkpointer.close()
      if (children === undefined || !(await this.#end(children))) await this.#release()
    } catch (error) {
      this.#take('failed')
      emit({ type: 'shard-failed', shardId, error })
      this.#checkpointer.close()
      await this.#release()
    } finally {
      lease.signal.removeEventListener('abort', lost)
      stopLimit.expired.removeEventListener('abort', expired)
      lease.drain.removeEventListener('abort', drain)
      room.leave()
    }
    emit({ type: 'shard-stopped', shardId, outcome: this.#state as 'ended' | 'released' | 'lost' })
  }

  /** False when halted before. */
  async #begins(): Promise<boolean> {
    const { pulled } = this.#options
    if (pulled === undefined || this.#state !== 'starting') return this.#state === 'starting'
    await eitherAborts(pulled.begun, this.#halt.signal)
    if (this.#halt.signal.aborted) return false
    if (pulled.place !== undefined) {
      this.#records = this.#recordsAfter(pulled.place)
      this.#checkpoints.startAt(pulled.place)
    }
    return true
  }

  #recordsAfter(resumeFrom: Position): UserRecords {
    const { stream, lease, codec } = this.#options
    const { shardId, range } = lease
    return new UserRecords({ stream, shardId, range, resumeFrom, codec })
  }

  /** The children, when all of the shard is completed; undefined when halted before. */
  async #process(): Promise<readonly ChildShard[] | undefined> {
    const { lease, emit } = this.#options
    const halt = this.#halt.signal
    this.#take('ready')
    emit({ type: 'shard-started', shardId: lease.shardId, resumeFrom: this.#checkpoints.end })
    lease.renewWhile({ stalledMs: (now) => this.#stalledMs(now) })
    let reading: Promise<ReadBatch> | undefined
    try {
      if (!(await this.#unlessAbandoned(this.#processor?.begin()))) return undefined
      for (;;) {
        const batch = await this.#await(reading ?? this.#read())
        const readOn = batch.children === undefined && this.#progress.bufferedBytes < PREFETCH_BELOW_BYTES
        reading = readOn ? this.#read() : undefined
        // It may fail, by the halt, while nobody waits for it.
        reading?.catch(() => {})
        if (!(await this.#unlessAbandoned(this.#handOver(batch)))) return undefined
        if (batch.children !== undefined) this.#options.pulled?.end()
        if (batch.children !== undefined) return (await this.#confirmed()) ? batch.children : undefined
      }
    } catch (error) {
      if (halt.aborted) return undefined
      throw error
    } finally {
      // Also when it was a fault that brought us here: nothing of this worker runs on.
      this.#halt.abort()
      await reading?.catch(() => {})
      await this.#unlessAbandoned(Promise.allSettled(this.#delivering).then(() => true))
    }
  }

  /** False when halted before all of the shard is checkpointed. */
  #confirmed(): Promise<boolean> {
    this.#ending = true
    const { lease, handlerBackoff: backoff, clock, random, emit } = this.#options
    const { shardId } = lease
    const checkpoints = this.#checkpoints
    const ask = this.#processor && (() => this.#unlessAbandoned(this.#processor?.end()))
    return untilConfirmed({ shardId, checkpoints, ask, backoff, clock, random, halt: this.#halt.signal, emit })
  }

  async #await(batch: Promise<ReadBatch>): Promise<ReadBatch> {
    const { reading, clock } = this.#options
    reading.waits(clock.now())
    try {
      return await batch
    } finally {
      reading.rest()
    }
  }

  #stalledMs(now: number): number | undefined {
    const { reading, room } = this.#options
    // Other shards' handlers hold the memory that this read waits for.
    if (room.waiting) reading.heard(now)
    return reading.stalledMs(now)
  }

  async #read(): Promise<ReadBatch> {
    const batch = await this.#options.source.next(this.#halt.signal)
    const readAt = this.#options.clock.wallTime()
    this.#progress.read(batch, readAt)
    return { ...batch, readAt }
  }

  /** False also when a stop does not wait any longer: then the handler runs on, and what it does counts for nothing. */
  #unlessAbandoned(work: Promise<boolean> | undefined): Promise<boolean> {
    const { lease, stopLimit, emit } = this.#options
    const { abandoned } = stopLimit
    return new Promise((resolve, reject) => {
      const abandon = (): void => {
        const first = !this.#abandoned
        this.#abandoned = true
        this.#checkpoints.close(stopLimit.expired.reason)
        if (first) emit({ type: 'handler-abandoned', shardId: lease.shardId, records: this.#delivery.outstanding })
        resolve(false)
      }
      if (abandoned.aborted && this.#delivering.size > 0) abandon()
      abandoned.addEventListener('abort', abandon)
      void Promise.resolve(work ?? true)
        .then(resolve, reject)
        .finally(() => abandoned.removeEventListener('abort', abandon))
    })
  }

  /**
   * Hands a read over as far as there is room. True when the next may come, or, where none comes, when all of the shard is completed; false
   * when halted before.
   */
  async #handOver(batch: ReadBatch): Promise<boolean> {
    const since = this.#options.clock.now()
    let count = 0
    let outsideShardRange = 0
    // The read itself counts until all of it is handed in.
    let open = 1
    let duplicates = 0
    const completed = (more: number): void => {
      open--
      duplicates += more
      if (open > 0 || this.#abandoned) return
      this.#duplicates += duplicates
      this.#readCompleted(batch, { records: count, outsideShardRange, duplicates, durationMs: this.#options.clock.now() - since })
    }
    if (batch.fromOldest === true) {
      this.#records.forgetCheckpoint()
      this.#checkpoints.forget()
    }
    for (const [records, last] of withLast(this.#records.batches(batch.records))) {
      if (!(await this.#delivery.room())) return false
      this.#processor?.reading({ at: batch.readAt, children: last ? batch.children : undefined })
      count += records.length
      for (const record of records) if (record.outsideShardRange) outsideShardRange++
      open++
      const delivering = this.#delivery.deliver(records, batch.millisBehindLatest, completed)
      this.#delivering.add(delivering)
      const forget = (): void => void this.#delivering.delete(delivering)
      delivering.then(forget, forget)
    }
    completed(0)
    if (batch.children === undefined) return this.#delivery.room()
    this.#options.pulled?.last()
    return (await Promise.all(this.#delivering)).every(Boolean)
  }

  #readCompleted(
    batch: FetchedBatch,
    counts: Pick<BatchCompleted, 'records' | 'outsideShardRange' | 'duplicates' | 'durationMs'>,
  ): void {
    const { lease, room, emit } = this.#options
    this.#progress.completed(batch)
    room.free(batch.bytes)
    emit({
      type: 'batch-completed',
      shardId: lease.shardId,
      kinesisRecords: batch.records.length,
      bytes: batch.bytes,
      millisBehindLatest: batch.millisBehindLatest,
      ...counts,
    })
  }

  /** False when the lease is still to be released. */
  async #end(children: readonly ChildShard[]): Promise<boolean> {
    const { lease } = this.#options
    if (this.#state === 'lost') return false
    if (this.#delivery.outstanding > 0)
      throw new Error(`Shard ${lease.shardId} cannot end: ${this.#delivery.outstanding} records are not completed`)
    this.#take('all-completed')
    try {
      const recorded = await lease.endShard(children)
      if (recorded) this.#take('end-recorded')
      else if (this.#state === 'ending') this.#take('drained')
      return recorded
    } catch (error) {
      if (!(error instanceof LeaseLostError)) throw error
      this.#take('lease-lost')
      return true
    }
  }

  /** Also after a loss: then it is the word that this worker has finished. */
  async #release(): Promise<void> {
    await this.#unlessAbandoned(this.#farewell())
    if (this.#state === 'draining') this.#take('drained')
    await this.#options.lease.release()
    if (this.#state === 'releasing') this.#take('release-recorded')
  }

  /** The last callbacks of a record processor come before others may have the shard, and not beside one that is still in hand. */
  async #farewell(): Promise<boolean> {
    const { stopLimit } = this.#options
    if (this.#processor === undefined || this.#abandoned || stopLimit.abandoned.aborted) return true
    if (this.#state === 'draining') await this.#processor.drain()
    if (!this.#abandoned) await this.#processor.leave()
    return true
  }

  #take(input: ShardWorkerInput): void {
    this.#state = transition(this.#state, input)
    if (this.#state !== 'starting' && this.#state !== 'running') this.#halt.abort()
  }
}

/** Resolves when the first of them aborts. */
function eitherAborts(one: AbortSignal, other: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (one.aborted || other.aborted) return resolve()
    const settle = (): void => {
      one.removeEventListener('abort', settle)
      other.removeEventListener('abort', settle)
      resolve()
    }
    one.addEventListener('abort', settle)
    other.addEventListener('abort', settle)
  })
}
