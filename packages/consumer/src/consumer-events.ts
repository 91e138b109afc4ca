import type { ServiceFailure } from '@shardwise/core/service-error'
import type { LeaseEvent } from './leases/lease-event.js'
import type { ShardWorkerEvent } from './shards/shard-worker.js'
import type { PauseEvent } from './shards/shard-workers.js'

/** All that a consumer announces, for logs, metrics and tests. */
export type ConsumerEvent = ConsumerLifecycleEvent | LeaseEvent | PauseEvent | ShardWorkerEvent

export type ConsumerLifecycleEvent =
  /** The stream and the lease table are reachable; shards follow as leases are taken. */
  | { readonly type: 'consumer-started'; readonly workerId: string; readonly stream: string; readonly applicationName: string }
  /** A step of the start failed in a way that may pass by itself: it is repeated. */
  | {
      readonly type: 'start-retried'
      readonly step: StartStep
      readonly failure: ServiceFailure
      readonly attempt: number
      readonly retryInMs: number
    }
  /** Nothing of this consumer runs any more. */
  | { readonly type: 'consumer-stopped'; readonly workerId: string }

export type StartStep = 'describe-stream' | 'open-lease-table' | 'list-shards'
