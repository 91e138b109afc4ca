import { seededRandom } from '@shardwise/core/random'
import type { Balance } from './account.js'
import type { ChaosOptions } from './chaos-options.js'
import { missingFrom } from './evidence.js'
import type { LinkEffects } from './fault-link.js'
import { type HappeningCounts, Happenings } from './happenings.js'
import { quiet } from './quiet.js'
import { stepsOf } from './steps.js'
import { type ProducerPlan, World } from './world.js'

const MIB = 1024 * 1024
const SHARDS = 4
const WORKERS = 4
const FAILOVER_MS = 5000
const EVERY_MS = 2000
const RECORD_TTL_MS = 180_000
const PATIENCE_MS = 90_000
const RECORDS_PER_SECOND = 300

/** Each kind of order, and none. */
const PLANS: readonly ProducerPlan[] = (
  [
    ['perKey', 'key'],
    ['perShard', 'shard'],
    ['none', 'shard'],
  ] as const
).map(([ordering, aggregation]) => {
  const load = { recordsPerSecond: RECORDS_PER_SECOND, meanBytes: 400, maxBufferedBytes: 8 * MIB }
  return { ordering, aggregation, recordTtlMs: RECORD_TTL_MS, ...load }
})

export interface AllResult extends Balance {
  readonly passed: boolean
  readonly seconds: number
  readonly kills: number
  readonly pauses: number
  readonly reshards: number
  readonly restarts: number
  readonly deploys: number
  /** By kind. */
  readonly faults: Readonly<Record<string, number>>
  readonly skipped: number
  /** What the faults of the network have really done. */
  readonly network: LinkEffects
}

/** Everything that can happen, by lot, under load; then quiet, and the account. */
export async function runAll(options: ChaosOptions, interrupted: AbortSignal): Promise<AllResult> {
  const since = performance.now()
  await using world = new World({ ...options, shards: SHARDS, failoverTimeMs: FAILOVER_MS }, interrupted)
  return await world.judged(async () => {
    await world.start()
    await Promise.all(Array.from({ length: WORKERS }, () => world.addWorker()))
    const { leases } = world.account
    await world.until('all shards to be read', () => leases.tenures.length >= SHARDS, PATIENCE_MS)
    await Promise.all(PLANS.map((plan) => world.addProducer(plan)))
    const happenings = new Happenings(world)
    await happenings.run(stepsOf(seededRandom(options.seed), { durationMs: options.minutes * 60_000, everyMs: EVERY_MS }))
    await happenings.over()
    await quiet(world)
    return resultOf(world, happenings.counts, (performance.now() - since) / 1000)
  })
}

function resultOf(world: World, happened: HappeningCounts, seconds: number): AllResult {
  const { options, account, effects } = world
  const balance = account.balance()
  const { done, skipped, ...counts } = happened
  const asked = Math.round(PLANS.length * RECORDS_PER_SECOND * options.minutes * 60)
  const evidence = { minutes: options.minutes, done, skipped, effects, balance, asked, calls: world.callsByReading() }
  const missing = missingFrom(evidence)
  return {
    passed: balance.isWell && missing.length === 0,
    seconds: Math.round(seconds * 10) / 10,
    ...{ ...balance, findings: [...balance.findings, ...missing] },
    ...{ ...counts, faults: done, skipped, network: effects },
  }
}
