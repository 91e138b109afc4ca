import type { ShardRecordProcessor } from './shard-record-processor.js'

/**
 * The life of a record processor.
 * - `new`: `initialize` was never called.
 * - `initializing`: it was, and has not succeeded.
 * - `processing`: it has.
 * - `ending`: `shardEnded` was called; the shard waits for its checkpoint.
 * - `stopping`: `shutdownRequested` was called.
 * - `finished`: no callback comes any more.
 */
export type ProcessorState = 'new' | 'initializing' | 'processing' | 'ending' | 'stopping' | 'finished'

/**
 * - `begin`, `begun`: the shard is ours; `initialize` has succeeded.
 * - `end`: all records have been processed.
 * - `drain`: the shard is to be given back in order.
 * - `leave`: it is lost, or given back now.
 */
export type ProcessorInput = 'begin' | 'begun' | 'end' | 'drain' | 'leave'

export type ProcessorCallback = Exclude<keyof ShardRecordProcessor, 'processRecords'>

export interface ProcessorStep {
  readonly to: ProcessorState
  /** To be called now. */
  readonly call?: ProcessorCallback
}

const LOST: ProcessorStep = { to: 'finished', call: 'leaseLost' }
const QUIET: ProcessorStep = { to: 'finished' }

/**
 * A shard that is ending is not asked to shut down as well: its `shardEnded` has had the opportunity (the KCL's ranks of reasons, ShutdownReason.java).
 * KCL tells processors of a loss that never heard of the shard.
 */
export const PROCESSOR_STEPS: Readonly<Record<ProcessorState, Readonly<Partial<Record<ProcessorInput, ProcessorStep>>>>> = {
  new: { begin: { to: 'initializing', call: 'initialize' }, drain: { to: 'new' }, leave: QUIET },
  initializing: {
    begin: { to: 'initializing', call: 'initialize' },
    begun: { to: 'processing' },
    drain: { to: 'initializing' },
    leave: LOST,
  },
  processing: {
    end: { to: 'ending', call: 'shardEnded' },
    drain: { to: 'stopping', call: 'shutdownRequested' },
    leave: LOST,
  },
  ending: { end: { to: 'ending', call: 'shardEnded' }, drain: { to: 'ending' }, leave: LOST },
  stopping: { drain: { to: 'stopping', call: 'shutdownRequested' }, leave: LOST },
  finished: { leave: QUIET },
}

/** Throws where the table has no entry: that is a mistake in the worker. */
export function processorStep(state: ProcessorState, input: ProcessorInput): ProcessorStep {
  const step = PROCESSOR_STEPS[state][input]
  if (step === undefined) throw new Error(`A record processor that is ${state} cannot take '${input}'`)
  return step
}
