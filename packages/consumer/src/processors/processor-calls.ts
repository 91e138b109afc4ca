import { type Clock, sleep } from '@shardwise/core/clock'
import type { ChildShard } from '@shardwise/core/kinesis-port'
import { functionsOption } from '@shardwise/core/options'
import type { Random } from '@shardwise/core/random'
import { type Backoff, backoffDelay } from '../backoff.js'
import { formatPosition, type Position } from '../checkpoints/position.js'
import type { ShardCheckpoints } from '../checkpoints/shard-checkpoints.js'
import type { Handlers } from '../delivery/handler.js'
import type { HandlerPermit } from '../delivery/handler-permit.js'
import type { HeldLease } from '../leases/held-lease.js'
import { type ProcessorCallback, type ProcessorInput, type ProcessorState, processorStep } from './processor-state.js'
import type {
  ExtendedSequenceNumber,
  ProcessorChildShard,
  RecordProcessorCheckpointer,
  ShardRecordProcessor,
  ShardRecordProcessorFactory,
} from './shard-record-processor.js'

export interface ProcessorCallsOptions {
  readonly stream: string
  readonly factory: ShardRecordProcessorFactory
  readonly lease: Pick<HeldLease, 'shardId' | 'generation' | 'resumeFrom' | 'pendingCheckpoint' | 'signal' | 'isOurs'>
  readonly permit: Pick<HandlerPermit, 'signal' | 'isOurs' | 'revalidate'>
  readonly checkpoints: Pick<ShardCheckpoints, 'checkpoint' | 'prepareCheckpoint' | 'askAnew'>
  readonly backoff: Backoff
  readonly clock: Clock
  readonly random: Random
  /** Nothing new begins once this aborts, but for the last callbacks. */
  readonly halt: AbortSignal
  readonly emit: (event: ProcessorEvent) => void
}

/** A callback of a ShardRecordProcessor, or the making of one, threw or rejected. Failures of `processRecords` are `handler-failed`. */
export interface ProcessorEvent {
  readonly type: 'processor-failed'
  readonly shardId: string
  readonly callback: ProcessorCallback
  readonly error: unknown
  readonly attempt: number
  /** Undefined: it is not called again. */
  readonly retryInMs: number | undefined
}

/** The records that come now. */
export interface ProcessorRead {
  /** Epoch milliseconds. */
  readonly at: number
  /** Present with the last records of the shard. */
  readonly children: readonly ChildShard[] | undefined
}

/** Whoever stops shall not wait for ever for a callback that fails. */
const SHUTDOWN_ATTEMPTS = 3

/** Calls the callbacks of one shard's record processor, at the right moments and one after the other. */
export class ProcessorCalls {
  /** Takes the records. */
  readonly handlers: Handlers
  readonly #options: ProcessorCallsOptions
  readonly #checkpointer: RecordProcessorCheckpointer
  #processor: ShardRecordProcessor | undefined
  #state: ProcessorState = 'new'
  #read: ProcessorRead = { at: 0, children: undefined }
  #endings = 0

  constructor(options: ProcessorCallsOptions) {
    this.#options = options
    const { checkpoints } = options
    this.#checkpointer = {
      checkpoint: (record) => checkpoints.checkpoint(record),
      prepareCheckpoint: (record, state) => checkpoints.prepareCheckpoint(record, state),
    }
    this.handlers = {
      eachBatch: (records, { signal, millisBehindLatest }) => {
        const { at, children } = this.#read
        return this.#processor!.processRecords({
          records,
          checkpointer: this.#checkpointer,
          millisBehindLatest,
          isAtShardEnd: children !== undefined,
          childShards: children?.map(childShard) ?? [],
          cacheEntryTime: new Date(at),
          signal,
        })
      },
    }
  }

  /** `initialize`, until it succeeds. False when halted before. */
  async begin(): Promise<boolean> {
    const { permit, halt } = this.#options
    for (let attempt = 1; ; attempt++) {
      while (!halt.aborted && !permit.isOurs()) if (!(await permit.revalidate())) return false
      if (halt.aborted) return false
      const delayMs = this.#delayMs(attempt)
      if (await this.#call('begin', attempt, delayMs)) {
        this.#take('begun')
        return !halt.aborted
      }
      await sleep(this.#options.clock, delayMs, { signal: halt }).catch(() => {})
    }
  }

  /** Before each part of a read. */
  reading(read: ProcessorRead): void {
    this.#read = read
  }

  /** `shardEnded`, once. False when the shard is not ours any more: do not ask again. */
  async end(): Promise<boolean> {
    const { lease, permit, checkpoints, halt } = this.#options
    while (!halt.aborted && !permit.isOurs()) if (!(await permit.revalidate())) return false
    if (!lease.isOurs()) return false
    this.#endings++
    // A checkpoint that was made in vain counts no more than one made before.
    if (this.#endings === 1) checkpoints.askAnew()
    if (!(await this.#call('end', this.#endings, this.#delayMs(this.#endings)))) checkpoints.askAnew()
    return true
  }

  /** `shutdownRequested`: the shard is given back in order. */
  async drain(): Promise<void> {
    const { lease, permit, clock } = this.#options
    for (let attempt = 1; attempt <= SHUTDOWN_ATTEMPTS && lease.isOurs(); attempt++) {
      const delayMs = attempt === SHUTDOWN_ATTEMPTS ? undefined : this.#delayMs(attempt)
      if (await this.#call('drain', attempt, delayMs)) return
      if (delayMs !== undefined) await sleep(clock, delayMs, { signal: permit.signal }).catch(() => {})
    }
  }

  /** `leaseLost`: the shard is lost, or given back now. */
  async leave(): Promise<void> {
    await this.#call('leave', 1, undefined)
  }

  /** Makes the call that the table asks for, if any. False when that failed. */
  async #call(input: ProcessorInput, attempt: number, retryInMs: number | undefined): Promise<boolean> {
    const { lease, emit } = this.#options
    const callback = this.#take(input)
    if (callback === undefined) return true
    try {
      await this.#invoke(callback)
      return true
    } catch (error) {
      // Told to give up, it did: that is no failure.
      const told = lease.signal.aborted && callback !== 'leaseLost'
      if (!told) emit({ type: 'processor-failed', shardId: lease.shardId, callback, error, attempt, retryInMs })
      return false
    }
  }

  #invoke(callback: ProcessorCallback): unknown {
    const { stream, factory, lease, permit } = this.#options
    const { shardId, generation, resumeFrom, pendingCheckpoint } = lease
    const { signal } = permit
    if (callback === 'leaseLost') return this.#processor?.leaseLost({ signal })
    if (callback !== 'initialize') return this.#processor![callback]({ checkpointer: this.#checkpointer, signal })
    this.#processor ??= checkProcessor(factory({ stream, shardId, generation }))
    return this.#processor.initialize({
      shardId,
      extendedSequenceNumber: extended(resumeFrom),
      pendingCheckpointSequenceNumber: pendingCheckpoint && extended(pendingCheckpoint.position),
      pendingCheckpointState: pendingCheckpoint?.state,
      signal,
    })
  }

  #take(input: ProcessorInput): ProcessorCallback | undefined {
    const { to, call } = processorStep(this.#state, input)
    this.#state = to
    return call
  }

  #delayMs(attempt: number): number {
    const { backoff, random } = this.#options
    return backoffDelay(attempt, backoff, random)
  }
}

const CALLBACKS = ['initialize', 'processRecords', 'leaseLost', 'shardEnded', 'shutdownRequested'] as const

/** Throws InvalidOptionError. */
function checkProcessor(made: ShardRecordProcessor): ShardRecordProcessor {
  const isPromise = typeof (made as Partial<Promise<unknown>> | undefined)?.then === 'function'
  // It is refused, and what it rejects with would end the process.
  if (isPromise) void Promise.resolve(made).catch(() => {})
  const what = 'a function that returns an object (no promise: `initialize` may wait)'
  return functionsOption('shardRecordProcessor', made, CALLBACKS, what)
}

function extended(position: Position): ExtendedSequenceNumber {
  const { checkpoint, checkpointSubSequenceNumber } = formatPosition(position)
  return { sequenceNumber: checkpoint, subSequenceNumber: checkpointSubSequenceNumber }
}

function childShard({ ShardId = '', ParentShards = [], HashKeyRange }: ChildShard): ProcessorChildShard {
  const { StartingHashKey = '', EndingHashKey = '' } = HashKeyRange ?? {}
  return {
    shardId: ShardId,
    parentShards: ParentShards,
    hashKeyRange: { startingHashKey: StartingHashKey, endingHashKey: EndingHashKey },
  }
}
