import { setTimeout as delay } from 'node:timers/promises'
import type { Balance } from './account.js'
import type { ChaosOptions } from './chaos-options.js'
import { type LinkLoad, loadOf } from './link-load.js'
import { machineNow } from './machine-time.js'
import { type MemoryUse, memoryUse } from './memory-bound.js'
import { type OutageLoad, outage, told } from './outage.js'
import { quiet } from './quiet.js'
import { type ProducerPlan, World } from './world.js'

const MAX_BUFFERED_BYTES = 8 * 1024 * 1024
const SHARDS = 2
const WORKERS = 3
const FAILOVER_MS = 5000
const PATIENCE_MS = 60_000
const MOST_UP_MS = 20_000
/** The documented longest wait of the producer between two attempts (`retry.maxMs`), and for an answer (`requestTimeoutMs`). */
const PRODUCER_MS = { pause: 5000, answer: 10_000 }
/** The reader's: between two attempts, and for an answer, which it may have waited for in vain before (polling-pace.ts, read-patience.ts). */
const READER_MS = { pause: 10_000, answer: 30_000 }
/** The service refuses a second subscription to a shard for so long. */
const EXCLUSIVE_MS = 5000
/** For the work itself, on a busy machine. */
const WORK_MS = 2000
/** The producer does not ask for the time with each record. */
const TURN_MS = 100

export interface KinesisDownResult extends Balance {
  readonly passed: boolean
  readonly seconds: number
  readonly outageSeconds: number
  /** From the return of the service until every producer has an answer. */
  readonly acknowledgedAgainMs: number
  /** Until every shard has records handled again. */
  readonly deliveredAgainMs: number
  /** For which processes of the run had stood still meanwhile, all added: on a busy machine. */
  readonly stoodStillMs: number
  readonly loadBefore: LinkLoad
  readonly loadsDown: readonly OutageLoad[]
  readonly storm: boolean
  readonly memory: readonly MemoryUse[]
  /** Of records that live longer than the outage; none may fail. */
  readonly failedPatient: number
  /** Of records that do not; before their time is over none may. */
  readonly failedEarly: number
}

/** Kinesis is away while producers put as fast as they may. */
export async function runKinesisDown(options: ChaosOptions, interrupted: AbortSignal): Promise<KinesisDownResult> {
  const since = performance.now()
  const forMs = options.minutes * 60_000
  const upMs = Math.min(MOST_UP_MS, Math.max(6000, forMs / 3))
  const hastyTtlMs = Math.min(30_000, forMs / 3)
  await using world = new World({ ...options, shards: SHARDS, failoverTimeMs: FAILOVER_MS }, interrupted)
  return await world.judged(async () => {
    await world.start()
    await Promise.all(Array.from({ length: WORKERS }, () => world.addWorker()))
    await world.until('all shards to be read', () => world.account.leases.tenures.length >= SHARDS, PATIENCE_MS)
    const plans = plansOf(forMs + 600_000, hastyTtlMs)
    const producers = await Promise.all(plans.map((plan) => world.addProducer(plan)))
    const failures = watchFailures(world, hastyTtlMs, producers.at(-1)!.app.name)
    await world.until('records to flow', () => world.account.delivered > 1000, PATIENCE_MS)
    await world.until('the load to be full', () => world.account.throttled.writes > 0, PATIENCE_MS)
    const upSince = machineNow()
    await world.orBroken(delay(upMs))
    const links = world.links.filter(({ isTable }) => !isTable).map(({ link }) => link)
    const loadBefore = loadOf(links, upSince, machineNow())
    world.say(`before: ${told(loadBefore)}`)

    await world.measure()
    const { from, to, loads, isStorm, answered } = await outage(world, {
      service: world.kinesis,
      links,
      forMs,
      before: loadBefore,
    })
    const [acknowledgedAgainMs, deliveredAgainMs] = await recovery(
      world,
      producers.map(({ app }) => app.name),
      to,
    )
    world.say(`acknowledged again after ${acknowledgedAgainMs} ms, delivered again after ${deliveredAgainMs} ms`)
    await world.orBroken(delay(upMs / 2))
    failures.end()
    await quiet(world)
    const balance = world.account.balance()
    const apps = world.apps.filter(({ name }) => /^(producer|worker)/.test(name)).map(({ name }) => name)
    const memory = apps.map((app) =>
      memoryUse(app, world.memory.get(app) ?? [], { from, to, maxBufferedBytes: MAX_BUFFERED_BYTES }),
    )
    // What hangs when the service is back goes on hanging.
    const hangs = loads.at(-1)!.way === 'swallowing'
    const mayTakeMs = {
      acknowledged: PRODUCER_MS.pause + (hangs ? PRODUCER_MS.answer : 0) + WORK_MS,
      delivered: (hangs ? READER_MS.answer : READER_MS.pause) + EXCLUSIVE_MS + WORK_MS,
    }
    const stoodStillMs = Math.round(world.stoodStillMs(to, to + deliveredAgainMs))
    const isLate =
      acknowledgedAgainMs > mayTakeMs.acknowledged + stoodStillMs || deliveredAgainMs > mayTakeMs.delivered + stoodStillMs
    const unbounded = memory.filter(({ isBounded }) => !isBounded)
    const findings = [
      ...balance.findings,
      ...(isLate ? [`recovery took longer than it may: ${JSON.stringify(mayTakeMs)}`] : []),
      ...(isStorm ? ['there was a storm of retries'] : []),
      ...(answered > 0 ? [`no proof: ${answered} answers came while the service was away`] : []),
      ...unbounded.map((use) => `memory of ${use.app} grew: ${JSON.stringify(use)}`),
      ...(failures.patient > 0 ? [`${failures.patient} records failed that had time enough`] : []),
      ...(failures.early > 0 ? [`${failures.early} records failed before their time was over`] : []),
    ]
    return {
      passed: findings.length === 0 && balance.isWell,
      seconds: Math.round((performance.now() - since) / 100) / 10,
      ...{ ...balance, findings },
      outageSeconds: Math.round((to - from) / 1000),
      ...{ acknowledgedAgainMs, deliveredAgainMs, stoodStillMs, loadBefore, loadsDown: loads, storm: isStorm, memory },
      ...{ failedPatient: failures.patient, failedEarly: failures.early },
    }
  })
}

/** As much as they may; the last has records that do not outlive the outage. */
function plansOf(patientTtlMs: number, hastyTtlMs: number): ProducerPlan[] {
  const load = { recordsPerSecond: undefined, meanBytes: 800, maxBufferedBytes: MAX_BUFFERED_BYTES }
  return [
    { ordering: 'perKey', aggregation: 'key', recordTtlMs: patientTtlMs, ...load },
    { ordering: 'none', aggregation: 'shard', recordTtlMs: patientTtlMs, ...load },
    { ordering: 'none', aggregation: 'shard', recordTtlMs: hastyTtlMs, ...load },
  ]
}

/** Resolves to the milliseconds until the last producer has an answer again, and until the last shard has records handled. */
async function recovery(world: World, producers: readonly string[], since: number): Promise<[number, number]> {
  const waiting = new Set(producers)
  const shards = new Set((await world.stream.openShards()).map(({ ShardId }) => ShardId))
  const [acknowledged, delivered]: number[][] = [[], []]
  const deaf = world.listen((by, fact) => {
    if (fact.at < since) return
    if (fact.fact === 'acknowledged' && waiting.delete(by)) acknowledged!.push(fact.at - since)
    if (fact.fact === 'began' && shards.delete(fact.shardId)) delivered!.push(fact.at - since)
  })
  await world.until('everything to flow again', () => waiting.size + shards.size === 0, PATIENCE_MS)
  deaf()
  return [Math.round(Math.max(...acknowledged!)), Math.round(Math.max(...delivered!))]
}

interface Failures {
  patient: number
  early: number
  end(): void
}

/** Failed records, with the time that they had. */
function watchFailures(world: World, hastyTtlMs: number, hasty: string): Failures {
  const end = world.listen((by, fact) => {
    if (fact.fact !== 'failed') return
    const putAt = world.account.producers.get(Number(by.split('-')[1]))!.putAt(fact.record)
    if (by !== hasty) failures.patient++
    else if (fact.at - putAt < hastyTtlMs - TURN_MS) failures.early++
  })
  const failures: Failures = { patient: 0, early: 0, end }
  return failures
}
