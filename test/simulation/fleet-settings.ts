import { type Random, seededRandom } from '@shardwise/core/random'
import type { CodecKind } from './world-codec.js'

/** What a fleet of consumers is configured with: all workers of an application have the same. */
export interface FleetSettings {
  readonly consumers: number
  /** Names, each with its number of shards at the beginning. */
  readonly streams: readonly { readonly name: string; readonly shards: number }[]
  /** The lease table has the form for several streams. */
  readonly severalStreams: boolean
  /** Consumers are given ARNs. */
  readonly byArn: boolean
  readonly codec: CodecKind
  readonly recordIds: boolean
  /** Records are large, so that buffers reach their bounds. */
  readonly isHeavy: boolean
  /** Of the keys, this share goes by an explicit hash key. */
  readonly explicit: number
  readonly handler: Consumption
  readonly order: 'shard' | 'key'
  readonly concurrency: number
  readonly checkpoint: 'auto' | 'manual' | 'two-phase'
  /** A record processor checkpoints when the records that it was given divide by it. */
  readonly checkpointsEvery: number
  readonly consumer: {
    readonly failoverTimeMs: number
    readonly handoffTimeoutMs: number
    readonly idleTimeBetweenReadsMs: number
    readonly initialPosition: 'trim-horizon' | 'latest'
    readonly checkpointIntervalMs?: number
    readonly maxRecordsPerRead: number
    readonly maxBufferedBytes?: number
    readonly dedupe?: { readonly maxRecordIds: number }
    readonly kcl: 'auto' | 'off'
    readonly retrieval: 'polling' | { readonly fanOut: { readonly fallbackToPolling: boolean } }
    readonly retry: { readonly baseMs: number; readonly maxMs: number }
  }
  /** A scan of the lease table has so many rows a page. Undefined: all are on one. */
  readonly rowsPerPage: number | undefined
  /** Many calls of handlers take up to so many milliseconds as long as anything is disturbed. Undefined: only where a disturbance has it so. */
  readonly handlersTakeMs: number | undefined
  /** Of each worker's clock: right, or off by up to this share. */
  readonly drift: number
}

/** How an application takes its records. */
export type Consumption = 'batch' | 'record' | 'processor' | 'loop' | 'sink'

export interface ProducerVariant {
  readonly burst: number
  readonly pauseMs: number
  readonly padding: number
  /** Share of records with headers. */
  readonly headers: number
  readonly undelivered: boolean
  readonly producer: {
    readonly aggregation: 'shard' | 'key' | 'off'
    readonly ordering: 'none' | 'perShard' | 'perKey'
    readonly afterFailure: 'halt' | 'continue'
    readonly lingerMs: number
    readonly recordTtlMs: number
    readonly requestTimeoutMs: number
    readonly maxBufferedRecords: number
    readonly maxRequestsInFlight: number
    readonly aggregateMaxBytes: number
    readonly retry: { readonly baseMs: number; readonly maxMs: number }
    readonly shardMapRefreshMs: number
  }
}

/** The random numbers for one purpose: what is drawn for another does not change them. */
export function randomOf(seed: number, purpose: string): Random {
  let hash = 2_166_136_261 ^ seed
  for (let i = 0; i < purpose.length; i++) hash = Math.imul(hash ^ purpose.charCodeAt(i), 16_777_619)
  return seededRandom(hash >>> 0)
}

export function pick<T>(random: Random, choices: readonly T[]): T {
  return choices[Math.floor(random() * choices.length)]!
}

const STREAMS = ['flights', 'weather', 'radar']
/** Of all streams together, so that there is room for reshards. */
const MOST_SHARDS = 5

export function fleetSettings(seed: number): FleetSettings {
  const random = randomOf(seed, 'fleet')
  const streams = random() < 0.65 ? 1 : 2 + Math.floor(random() * 2)
  const handler = pick(random, ['batch', 'batch', 'batch', 'record', 'record', 'record', 'processor', 'loop', 'sink'] as const)
  const order = handler === 'record' && random() < 0.4 ? 'key' : 'shard'
  const failoverTimeMs = pick(random, [1_000, 2_000, 3_000, 5_000])
  const makesItself = handler === 'processor' || handler === 'sink'
  // By key a call cannot checkpoint its own record: that is for a later one.
  const mayMake = (handler === 'batch' || handler === 'record') && order === 'shard' && random() < 0.2
  const checkpoint = makesItself ? 'manual' : mayMake ? pick(random, ['manual', 'two-phase'] as const) : 'auto'
  const interval = random() < 0.3 && checkpoint === 'auto' ? { checkpointIntervalMs: 200 } : {}
  const recordIds = random() < 0.35
  const dedupe =
    recordIds && checkpoint === 'auto' && random() < 0.5 ? { dedupe: { maxRecordIds: pick(random, [3, 10_000]) } } : {}
  const isHeavy = random() < 0.05
  const maxRecordsPerRead = pick(random, [5, 50, 10_000])
  return {
    isHeavy,
    consumers: 1 + Math.floor(random() * 4),
    streams: STREAMS.slice(0, streams).map((name) => ({
      name,
      shards: 1 + Math.floor(random() * Math.min(4, MOST_SHARDS - streams)),
    })),
    severalStreams: streams > 1 || random() < 0.2,
    byArn: random() < 0.2,
    // What is heavy must not be small in the stream.
    codec: random() < 0.5 ? 'bytes' : pick(random, ['text', isHeavy ? 'text' : 'compressed', 'keyed'] as const),
    recordIds,
    explicit: random() < 0.3 ? 0.4 : 0,
    handler,
    order,
    concurrency: order === 'key' ? pick(random, [1, 3, 20]) : 1,
    checkpoint,
    checkpointsEvery: pick(random, [1, 2]),
    consumer: {
      failoverTimeMs,
      handoffTimeoutMs: pick(random, [1_000, 3_000, 8_000]),
      idleTimeBetweenReadsMs: pick(random, [500, 1_000]),
      initialPosition: random() < 0.75 ? 'trim-horizon' : 'latest',
      ...interval,
      // What gathers behind a slow handler is read at once, as far as there is room.
      maxRecordsPerRead: isHeavy ? 10_000 : maxRecordsPerRead,
      ...dedupe,
      ...(isHeavy && { maxBufferedBytes: 1024 * 1024 }),
      kcl: random() < 0.3 ? 'auto' : 'off',
      retrieval: random() < 0.65 ? 'polling' : { fanOut: { fallbackToPolling: random() < 0.5 } },
      retry: { baseMs: 100, maxMs: 800 },
    },
    drift: random() < 0.5 ? 0 : 0.01,
    // Longer than anybody waits for a lease (`handoffTimeoutMs`), or so that what is read gathers.
    handlersTakeMs: isHeavy || random() < 0.06 ? 12_000 : undefined,
    rowsPerPage: random() < 0.3 ? pick(random, [1, 2, 5]) : undefined,
  }
}

export function producerVariant(random: Random, { isHeavy }: Pick<FleetSettings, 'isHeavy'>): ProducerVariant {
  const aggregation = pick(random, ['shard', 'shard', 'key', 'off'] as const)
  return {
    burst: isHeavy ? 5 : pick(random, [1, 3, 10]),
    pauseMs: isHeavy ? 500 : pick(random, [400, 1_000, 2_500]),
    padding: isHeavy ? 80_000 : pick(random, [10, 200]),
    headers: random() < 0.3 ? 0.3 : 0,
    undelivered: random() < 0.4,
    producer: {
      aggregation,
      ordering: pick(random, ['none', 'perShard', 'perKey'] as const),
      afterFailure: pick(random, ['halt', 'continue'] as const),
      lingerMs: pick(random, [0, 50, 300]),
      recordTtlMs: pick(random, [4_000, 12_000]),
      requestTimeoutMs: pick(random, [500, 2_000]),
      maxBufferedRecords: pick(random, [20, 1_000]),
      maxRequestsInFlight: pick(random, [1, 4, 24]),
      aggregateMaxBytes: pick(random, [300, 51_200]),
      retry: { baseMs: 50, maxMs: 1_000 },
      shardMapRefreshMs: pick(random, [0, 5_000, 60_000]),
    },
  }
}
