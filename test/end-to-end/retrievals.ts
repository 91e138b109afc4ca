import type { ConsumerOptions } from '@shardwise/consumer'

/** Without fallback: a test of fan-out is not to pass because the worker polled. */
export const FAN_OUT: Partial<ConsumerOptions> = { retrieval: { fanOut: { fallbackToPolling: false } } }

/** The ways to read by which whole fleets have to get through the same: name and options, for `it.each`. */
export const RETRIEVALS: readonly (readonly [way: string, options: Partial<ConsumerOptions>])[] = [
  ['polling', {}],
  ['fan-out', FAN_OUT],
]
