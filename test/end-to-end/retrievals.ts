import type { ConsumerOptions } from '@shardwise/consumer'

export interface Retrieval {
  readonly way: 'polling' | 'fan-out'
  /** Added to those of a consumer. */
  readonly options: Pick<ConsumerOptions, 'retrieval'>
}

/** No fallback: a test of fan-out is not to pass because the worker polled. */
export const FAN_OUT: Retrieval = { way: 'fan-out', options: { retrieval: { fanOut: { fallbackToPolling: false } } } }

/** The ways to read with which whole fleets have to get through the same. */
export const RETRIEVALS: readonly Retrieval[] = [{ way: 'polling', options: {} }, FAN_OUT]
