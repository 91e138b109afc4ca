import type { ServiceFailure } from '@shardwise/core/service-error'
import type { LeaseEvent } from './leases/lease-event.js'
import type { ShardWorkerEvent } from './shards/shard-worker-event.js'
import type { PauseEvent } from './shards/shard-workers.js'
import type { RegistrationEvent } from './sources/stream-registration.js'
import type { StartRetriedEvent } from './start-event.js'

/** All that a consumer announces, for logs, metrics and tests. */
export type ConsumerEvent =
  | ConsumerLifecycleEvent
  | RegistrationEvent
  | LeaseEvent
  | OfStream<PauseEvent>
  | OfStream<ShardWorkerEvent>

/** What happens to a shard says of which stream: by name or ARN, as given in the options. */
export type OfStream<Event> = Event extends { readonly shardId: string } ? Event & { readonly stream: string } : Event

export type ConsumerLifecycleEvent =
  /** The streams and the lease table are reachable; shards follow as leases are taken. */
  | {
      readonly type: 'consumer-started'
      readonly workerId: string
      readonly streams: readonly string[]
      readonly applicationName: string
    }
  /** By `addStream`: its shards follow as leases are taken. */
  | { readonly type: 'stream-added'; readonly stream: string }
  /** By `removeStream`: this consumer does nothing with it any more. */
  | { readonly type: 'stream-removed'; readonly stream: string; readonly deletedLeases: number }
  /** The stream was deleted, and there is another of its name: this consumer begins with that at its oldest record. */
  | { readonly type: 'stream-recreated'; readonly stream: string }
  /**
   * Something hints at that, and when the stream was created, which would tell, was asked for in vain; it is asked for again in `retryInMs`. None of
   * its shards is asked for meanwhile, unless `isRead`: where the permission is missing reading goes on, for that may not pass.
   */
  | {
      readonly type: 'stream-in-doubt'
      readonly stream: string
      readonly failure: ServiceFailure
      readonly isRead: boolean
      readonly retryInMs: number
    }
  | StartRetriedEvent
  /** Nothing of this consumer runs any more. */
  | { readonly type: 'consumer-stopped'; readonly workerId: string }
