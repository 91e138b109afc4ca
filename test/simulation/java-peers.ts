import { type FleetSettings, pick, randomOf } from './fleet-settings.js'

/** Which KCL: 2.x, or 3.x with its rows in three tables (3.0 to 3.4) or in one (3.5). */
export type JavaVersion = '2.x' | 'three-tables' | 'single-table'

/** From then on the workers of the other kind leave one by one, and newcomers are of this one. */
export interface Migration {
  /** As a share of the time in which things go wrong. */
  readonly at: number
  readonly to: 'java' | 'ours'
}

/** Workers of Amazon's KCL for Java on the same table. */
export interface JavaPeers {
  readonly version: JavaVersion
  /** At the start. */
  readonly count: number
  /** Shardwise workers at the start. 0: Java was here first. */
  readonly ours: number
  readonly migrations: readonly Migration[]
  /** In the calm they are stopped, and all is ours at the end. */
  readonly leave: boolean
}

/** Milliseconds. KCL's own is 120000 (dynamoDbLockBasedLeaderLeaseDurationInMillis): two minutes more of each world would show nothing. */
export const LEADER_LEASE_MS = 20_000

const SHARE = 0.16

/** In a share of the worlds: beside ours throughout, or before them, after them, or both. */
export function javaPeersOf(seed: number): JavaPeers | undefined {
  const random = randomOf(seed, 'java')
  if (random() >= SHARE) return undefined
  const version = pick(random, ['2.x', '2.x', 'three-tables', 'single-table'] as const)
  const count = 1 + Math.floor(random() * 3)
  const course = pick(random, ['beside', 'beside', 'to-ours', 'to-java', 'there-and-back'] as const)
  const first = 0.1 + random() * 0.3
  const then = { at: first + 0.2 + random() * 0.3, to: 'ours' } as const
  const leave = random() < 0.5
  switch (course) {
    case 'beside':
      return { version, count, ours: 1 + Math.floor(random() * 2), migrations: [], leave }
    case 'to-ours':
      return { version, count, ours: 0, migrations: [{ at: first, to: 'ours' }], leave }
    case 'to-java':
      return { version, count: 0, ours: count, migrations: [{ at: first, to: 'java' }], leave }
    case 'there-and-back':
      return { version, count: 0, ours: count, migrations: [{ at: first, to: 'java' }, then], leave }
  }
}

/**
 * What these worlds are spared, for KCL would lose data by its own rules, or stand still for long: on a stream that the service distributes it drops
 * aggregates (AggregatorUtil.java); a shard that retention has taken ends for it without children (KinesisDataFetcher.java), which an audit of
 * its leader finds after three times two minutes (PeriodicShardSyncManager.java); and its leader compares clocks of machines to say which worker
 * lives (WorkerMetricStats.java).
 */
export const SPARED_BESIDE_JAVA: ReadonlySet<string> = new Set(['auto', 'retention', 'wall-clock', 'recreate'])

/** The same fleet where Java has been, or will be. */
export function besideJava(settings: FleetSettings, peers: JavaPeers | undefined): FleetSettings {
  if (peers === undefined) return settings
  const { consumer } = settings
  // Enough for both kinds to have some.
  const streams = [{ name: settings.streams[0]!.name, shards: Math.max(settings.streams[0]!.shards, 3) }]
  // KCL resolves LATEST anew with each start of a shard that has no checkpoint (KCL#734).
  const changed = {
    kcl: 'auto',
    initialPosition: 'trim-horizon',
    failoverTimeMs: Math.max(consumer.failoverTimeMs, 2_000),
  } as const
  const { handler } = settings
  const own = handler === 'sink' ? ({ handler: 'batch', checkpoint: 'auto' } as const) : {}
  return { ...settings, ...own, streams, severalStreams: false, consumers: peers.ours, consumer: { ...consumer, ...changed } }
}
