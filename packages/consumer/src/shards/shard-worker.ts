import type { Codec } from '@shardwise/core/codec'
import type { ChildShard } from '@shardwise/core/kinesis-port'
import { untilConfirmed } from '../checkpoints/checkpoint-confirmation.js'
import type { Position } from '../checkpoints/position.js'
import type { RecordPosition } from '../delivery/completed-prefix.js'
import { HandlerPermit } from '../delivery/handler-permit.js'
import { RecordPreparation } from '../delivery/record-preparation.js'
import type { StartGate } from '../delivery/start-gate.js'
import { LeaseLostError } from '../leases/lease-lost-error.js'
import { sharedAbort } from '../shared-abort.js'
import type { ShardRoom } from '../sources/byte-budget.js'
import type { RecordSource, Retrieval } from '../sources/record-source.js'
import type { StopLimit } from '../stop-limit.js'
import { HandlerWait } from './handler-wait.js'
import { untilLooped } from './loop-wait.js'
import { ReadDelivery } from './read-delivery.js'
import type { ReadSnapshot } from './read-progress.js'
import type { ReadWatch } from './read-watch.js'
import { type ShardDelivery, type ShardDeliveryOptions, shardDelivery } from './shard-delivery.js'
import { ShardReads } from './shard-reads.js'
import { type ShardWorkerInput, type ShardWorkerState, transition } from './shard-worker-state.js'

export interface ShardWorkerOptions extends Omit<ShardDeliveryOptions, 'permit' | 'halt'> {
  /** Default: bytes as they are. */
  readonly codec?: Codec<unknown> | undefined
  readonly source: RecordSource
  /** Also told of what the source announces. */
  readonly reading: ReadWatch
  /** Where the source holds what it reads. */
  readonly room: Pick<ShardRoom, 'free' | 'leave' | 'waiting'>
  /** Handler calls begin while all of these are open. */
  readonly gates: readonly StartGate[]
  readonly stopLimit: Pick<StopLimit, 'expired' | 'abandoned'>
}

export interface WorkerSnapshot extends ReadSnapshot {
  readonly state: ShardWorkerState
  /** Grows with every acquisition of the lease by anyone. */
  readonly generation: number
  /** `polling` with enhanced fan-out: the shard cannot be subscribed to at this moment. Undefined: nothing has been read yet. */
  readonly retrieval: Retrieval | undefined
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

/**
 * Reads one shard under one lease and delivers it, until the shard ends, the lease is to be given up, or is lost. While the handler works
 * on one read the next is fetched, and no more than the delivery has room for: a slow handler is felt by the source.
 *
 * This file is the way from the lease to its end (states and transitions: shard-worker-state.ts); the way of a record is ShardReads,
 * ReadDelivery, and the Delivery that shardDelivery has chosen.
 */
export class ShardWorker {
  readonly #options: ShardWorkerOptions
  /** Aborts as soon as nothing new may begin. */
  readonly #halt = sharedAbort()
  readonly #permit: HandlerPermit
  readonly #parts: ShardDelivery
  readonly #reads: ShardReads
  readonly #wait: HandlerWait
  readonly #readDelivery: ReadDelivery
  /** Everything is completed. */
  #ending = false
  #state: ShardWorkerState = 'starting'

  constructor(options: ShardWorkerOptions) {
    this.#options = options
    const { lease, gates, stopLimit } = options
    const halt = this.#halt.signal
    this.#permit = new HandlerPermit({ lease, gates, halt })
    this.#parts = shardDelivery({ ...options, permit: this.#permit, halt })
    this.#reads = new ShardReads({ ...options, halt })
    this.#wait = new HandlerWait({
      stopLimit,
      isHandling: () => this.#readDelivery.isHandling,
      onAbandoned: () => this.#abandoned(),
    })
    const { codec } = options
    const preparation = new RecordPreparation({ ...options, codec, shardId: lease.shardId, halt })
    this.#readDelivery = new ReadDelivery({ ...options, ...this.#parts, preparation, reads: this.#reads, wait: this.#wait })
  }

  get state(): ShardWorkerState {
    return this.#state
  }

  snapshot(): WorkerSnapshot {
    const { lease, source, room } = this.#options
    const { delivery, checkpoints } = this.#parts
    return {
      state: this.#state,
      generation: lease.generation,
      retrieval: source.retrieval,
      completed: checkpoints.end,
      blockedAt: delivery.blockedAt,
      duplicates: this.#readDelivery.duplicates,
      waitingForMemory: room.waiting,
      awaitsCheckpoint: this.#ending && !checkpoints.isConfirmed,
      ...this.#reads.snapshot(),
    }
  }

  /** Runs once. Resolves when this worker touches neither records nor lease any more; never rejects. */
  async run(): Promise<void> {
    const { lease, room, emit } = this.#options
    const { checkpointer } = this.#parts
    const { shardId } = lease
    const finished = this.#heed()
    try {
      const children = (await this.#begins()) ? await this.#process() : undefined
      checkpointer.close()
      if (children === undefined || !(await this.#end(children))) await this.#release()
    } catch (error) {
      this.#take('failed')
      emit({ type: 'shard-failed', shardId, error })
      checkpointer.close()
      await this.#release()
    } finally {
      finished()
      this.#wait.end()
      room.leave()
    }
    emit({ type: 'shard-stopped', shardId, outcome: this.#state as 'ended' | 'released' | 'lost' })
  }

  /** Heeds what the lease, the stop and the sink say, until the returned function is called. */
  #heed(): () => void {
    const { lease, pulled, stopLimit } = this.#options
    const over = new AbortController()
    const when = (signal: AbortSignal | undefined, act: () => void): void => {
      if (signal?.aborted === true) act()
      else signal?.addEventListener('abort', act, { signal: over.signal })
    }
    when(lease.signal, () => {
      this.#take('lease-lost')
      this.#permit.revoke(lease.signal.reason)
    })
    when(stopLimit.expired, () => {
      // The coordinator's word may be on its way still.
      this.#take('drain')
      this.#permit.revoke(stopLimit.expired.reason)
    })
    when(lease.drain, () => this.#take('drain'))
    when(pulled?.left, () => this.#take('drain'))
    return () => over.abort()
  }

  /** False when halted before. */
  async #begins(): Promise<boolean> {
    const { pulled, clock, emit } = this.#options
    if (pulled === undefined || this.#state !== 'starting') return this.#state === 'starting'
    if (!(await untilLooped({ pulled, halt: this.#halt.signal, clock, emit }))) return false
    if (pulled.place !== undefined) this.#readDelivery.startAt(pulled.place)
    return true
  }

  /** The children, when all of the shard is completed; undefined when halted before. */
  async #process(): Promise<readonly ChildShard[] | undefined> {
    const { lease, pulled, emit } = this.#options
    const { processor, checkpoints } = this.#parts
    const halt = this.#halt.signal
    this.#take('ready')
    emit({ type: 'shard-started', shardId: lease.shardId, resumeFrom: checkpoints.end })
    lease.renewWhile({ stalledMs: (now) => this.#reads.stalledMs(now) })
    try {
      if (processor !== undefined && !(await this.#wait.until(processor.begin()))) return undefined
      for (;;) {
        const read = await this.#reads.next()
        if (!(await this.#wait.until(this.#readDelivery.deliver(read)))) return undefined
        if (read.children === undefined) continue
        pulled?.end()
        return (await this.#confirmed()) ? read.children : undefined
      }
    } catch (error) {
      if (halt.aborted) return undefined
      throw error
    } finally {
      // Also when it was a fault that brought us here: nothing of this worker runs on.
      this.#halt.abort()
      await this.#reads.finished()
      await this.#wait.until(this.#readDelivery.settled())
    }
  }

  /** False when halted before all of the shard is checkpointed. */
  #confirmed(): Promise<boolean> {
    this.#ending = true
    const { lease, handlerBackoff: backoff, clock, random, emit } = this.#options
    const { shardId } = lease
    const { checkpoints, processor } = this.#parts
    const ask = processor && (() => this.#wait.until(processor.end()))
    return untilConfirmed({ shardId, checkpoints, ask, backoff, clock, random, halt: this.#halt.signal, emit })
  }

  /** False when the lease is still to be released. */
  async #end(children: readonly ChildShard[]): Promise<boolean> {
    const { lease } = this.#options
    const { outstanding } = this.#parts.delivery
    if (this.#state === 'lost') return false
    if (outstanding > 0) throw new Error(`Shard ${lease.shardId} cannot end: ${outstanding} records are not completed`)
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
    await this.#wait.until(this.#farewell())
    if (this.#state === 'draining') this.#take('drained')
    await this.#options.lease.release()
    if (this.#state === 'releasing') this.#take('release-recorded')
  }

  /** The last callbacks of a record processor come before others may have the shard, and not beside one that is still in hand. */
  async #farewell(): Promise<boolean> {
    const { stopLimit } = this.#options
    const { processor } = this.#parts
    if (processor === undefined || this.#wait.isAbandoned || stopLimit.abandoned.aborted) return true
    if (this.#state === 'draining') await processor.drain()
    if (!this.#wait.isAbandoned) await processor.leave()
    return true
  }

  /** A stop does not wait for the handler any longer. */
  #abandoned(): void {
    const { lease, stopLimit, emit } = this.#options
    const { checkpoints, delivery } = this.#parts
    checkpoints.close(stopLimit.expired.reason)
    emit({ type: 'handler-abandoned', shardId: lease.shardId, records: delivery.outstanding })
  }

  #take(input: ShardWorkerInput): void {
    this.#state = transition(this.#state, input)
    if (this.#state !== 'starting' && this.#state !== 'running') this.#halt.abort()
  }
}
