import type { ServiceFailure } from '@shardwise/core/service-error'

/** A step of the start, or of `addStream`, failed in a way that may pass by itself: it is repeated. `stream`: undefined when it is about all of them. */
export interface StartRetriedEvent {
  readonly type: 'start-retried'
  readonly step: StartStep
  readonly stream: string | undefined
  readonly failure: ServiceFailure
  readonly attempt: number
  readonly retryInMs: number
}

export type StartStep = 'describe-stream' | 'find-stream-consumer' | 'open-lease-table' | 'list-shards'
