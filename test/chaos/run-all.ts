import { seededRandom } from '@shardwise/core/random'
import type { Balance } from './account.js'
import type { ChaosOptions } from './chaos-options.js'
import { type HappeningCounts, Happenings } from './happenings.js'
import { quiet } from './quiet.js'
import { type Step, stepsOf } from './steps.js'
import { type ProducerPlan, World } from './world.js'

const MIB = 1024 * 1024
const SHARDS = 4
const WORKERS = 4
const FAILOVER_MS = 5000
const EVERY_MS = 2000
const RECORD_TTL_MS = 180_000
const PATIENCE_MS = 90_000

/** Each kind of order, and none. */
const PLANS: readonly ProducerPlan[] = (
  [
    ['perKey', 'key'],
    ['perShard', 'shard'],
    ['none', 'shard'],
  ] as const
).map(([ordering, aggregation]) => {
  const load = { recordsPerSecond: 300, meanBytes: 400, maxBufferedBytes: 8 * MIB }
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
  readonly checkpoints: number
  /** By kind. */
  readonly faults: Readonly<Record<string, number>>
  readonly skipped: number
}

/** Everything that can happen, by lot, under load; then quiet, and the account. */
export async function runAll(options: ChaosOptions, interrupted: AbortSignal): Promise<AllResult> {
  const since = performance.now()
  await using world = new World({ ...options, shards: SHARDS, failoverTimeMs: FAILOVER_MS }, interrupted)
  return await world.judged(async () => {
    await world.start()
    await Promise.all(Array.from({ length: WORKERS }, () => world.addWorker()))
    await world.until('all shards to be read', () => world.account.tenures.tenures.length >= SHARDS, PATIENCE_MS)
    await Promise.all(PLANS.map((plan) => world.addProducer(plan)))
    const happenings = new Happenings(world)
    const steps = stepsOf(seededRandom(options.seed), { durationMs: options.minutes * 60_000, everyMs: EVERY_MS })
    await happenings.run(steps)
    await happenings.over()
    await quiet(world)
    return resultOf(world, happenings.counts, steps, (performance.now() - since) / 1000)
  })
}

function resultOf(world: World, happened: HappeningCounts, steps: readonly Step[], seconds: number): AllResult {
  const balance = world.account.balance(world.apps)
  const { done, skipped, ...counts } = happened
  const { lost, outOfOrder, unexplainedDuplicates, foreign, denied, unsettled, splitOwnership, delivered } = balance
  const faults = [lost, outOfOrder, unexplainedDuplicates, foreign, denied, unsettled, splitOwnership]
  // It is no proof where little happened.
  const passed =
    faults.every((count) => count === 0) && delivered > 0 && Object.values(done).reduce((a, b) => a + b, 0) > steps.length / 2
  return {
    passed,
    seconds: Math.round(seconds * 10) / 10,
    ...balance,
    ...counts,
    checkpoints: world.account.landedCheckpoints,
    faults: done,
    skipped,
  }
}
