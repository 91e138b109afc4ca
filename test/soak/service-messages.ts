import type { OpenShard } from './workload.js'

export interface ServiceSetup {
  readonly stream: string
  readonly shards: number
  readonly seed: number
  /** 1 is the density of a long run. */
  readonly faultDensity: number
  /** The producer's: hung calls take longer. */
  readonly requestTimeoutMs: number
}

export interface ServiceReport {
  readonly rssBytes: number
  readonly openConnections: number
  /** Calls that each kind of fault has met. */
  readonly faults: Readonly<Record<string, number>>
}

/** What the soak asks of the service's process, and what it gets. */
export interface ServiceCalls {
  readonly start: { readonly input: ServiceSetup; readonly output: { readonly endpoint: string } }
  readonly openShards: { readonly input: undefined; readonly output: readonly OpenShard[] }
  /** Splits or merges and resolves when the stream is ACTIVE again, with what is open then. */
  readonly split: { readonly input: { readonly shardId: string; readonly at: string }; readonly output: readonly OpenShard[] }
  readonly merge: { readonly input: { readonly shardId: string; readonly with: string }; readonly output: readonly OpenShard[] }
  /** From now on, or no longer, every PutRecords is refused. */
  readonly outage: { readonly input: boolean; readonly output: undefined }
  /** No more faults for calls that come from now on. */
  readonly calm: { readonly input: undefined; readonly output: undefined }
  /** Moves the service's wall clock forward; its new time. */
  readonly passTime: { readonly input: number; readonly output: number }
  readonly report: { readonly input: undefined; readonly output: ServiceReport }
}

export type ServiceCall = keyof ServiceCalls

export interface Question {
  readonly id: number
  readonly call: ServiceCall
  readonly input: unknown
}

export type Answer = { readonly id: number; readonly output: unknown } | { readonly id: number; readonly error: string }
