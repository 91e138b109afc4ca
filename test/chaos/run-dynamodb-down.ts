import { setTimeout as delay } from 'node:timers/promises'
import type { Balance } from './account.js'
import type { ChaosOptions } from './chaos-options.js'
import { type LinkLoad, loadOf } from './link-load.js'
import { machineNow } from './machine-time.js'
import { type OutageLoad, outage, told } from './outage.js'
import { quiet } from './quiet.js'
import { type ProducerPlan, World } from './world.js'

const MIB = 1024 * 1024
const SHARDS = 8
const WORKERS = 4
const LONG_MINUTES = 2
const PATIENCE_MS = 60_000
/** The service refuses a second subscription to a shard for so long, and work takes its time on a busy machine. */
const EXCLUSIVE_MS = 5000
const WORK_MS = 2000
/** The lease itself, and one that is given back for it. */
const MOVES_OF_A_LOSS = 2

const PLANS: readonly ProducerPlan[] = (['perKey', 'none'] as const).map((ordering) => {
  const aggregation = ordering === 'perKey' ? 'key' : 'shard'
  return { ordering, aggregation, recordTtlMs: 60_000, maxBufferedBytes: 8 * MIB, recordsPerSecond: 200, meanBytes: 200 }
})

export interface DynamoDbDownResult extends Balance {
  readonly passed: boolean
  readonly seconds: number
  readonly outageSeconds: number
  readonly failoverTimeMs: number
  /** Handler calls that began when every lease must have been in doubt. */
  readonly callsInDoubt: number
  /** Changes of hands from the beginning of the outage until three failover times after its end. */
  readonly movesAfter: number
  /** Leases lost by processes that this machine had not let run: each may move two shards. */
  readonly starvedLosses: number
  /** Until every shard has records handled again. */
  readonly deliveredAgainMs: number
  /** For which processes of the run had stood still meanwhile, all added: on a busy machine. */
  readonly stoodStillMs: number
  readonly loadBefore: LinkLoad
  readonly loadsDown: readonly OutageLoad[]
  readonly storm: boolean
}

/** The lease table is away for all workers, while records come. */
export async function runDynamoDbDown(options: ChaosOptions, interrupted: AbortSignal): Promise<DynamoDbDownResult> {
  const since = performance.now()
  const failoverTimeMs = options.minutes >= LONG_MINUTES ? 10_000 : 4000
  await using world = new World({ ...options, shards: SHARDS, failoverTimeMs }, interrupted)
  return await world.judged(async () => {
    await world.start()
    await Promise.all(Array.from({ length: WORKERS }, () => world.addWorker()))
    const { leases } = world.account
    await world.until('the shards to be shared', () => isFair(leases.held()), PATIENCE_MS)
    await Promise.all(PLANS.map((plan) => world.addProducer(plan)))
    const upSince = machineNow()
    await world.until('records to flow', () => world.account.delivered > 1000, PATIENCE_MS)
    await world.orBroken(delay(failoverTimeMs))
    if (!isFair(leases.held())) throw new Error('The shards were not shared when the outage was to begin')
    const links = world.links.filter(({ isTable }) => isTable).map(({ link }) => link)
    const loadBefore = loadOf(links, upSince, machineNow())
    world.say(`before: ${told(loadBefore)}`)

    const calls: number[] = []
    const deaf = world.listen((_, { fact, at }) => void (fact === 'began' && calls.push(at)))
    const forMs = options.minutes * 60_000
    const { from, endsAt, to, loads, isStorm, answered } = await outage(world, {
      service: world.dynamodb,
      links,
      forMs,
      before: loadBefore,
    })
    deaf()
    const deliveredAgainMs = await recovery(world, to)
    world.say(`delivered again after ${deliveredAgainMs} ms`)
    await world.orBroken(delay(3 * failoverTimeMs))
    const movesAfter = leases.takenSince(from).length
    const starved = starvedLosses(world, from)
    world.say(`${movesAfter} changes of hands`)
    await quiet(world)
    const balance = world.account.balance()
    // A write that hangs is given up after a third of the failover time, and no pause between two is longer (write-schedule.ts).
    const mayTakeMs = (2 / 3) * failoverTimeMs + EXCLUSIVE_MS + WORK_MS
    const stoodStillMs = Math.round(world.stoodStillMs(to, to + deliveredAgainMs))
    const callsInDoubt = calls.filter((at) => at > from + failoverTimeMs && at < endsAt).length
    const findings = [
      ...balance.findings,
      ...(callsInDoubt > 0 ? [`${callsInDoubt} handler calls began though the leases were in doubt`] : []),
      ...(movesAfter > MOVES_OF_A_LOSS * starved ? [`${movesAfter} shards changed hands`] : []),
      ...(deliveredAgainMs > mayTakeMs + stoodStillMs ? [`recovery took longer than ${Math.round(mayTakeMs)} ms`] : []),
      ...(balance.failed > 0 ? [`${balance.failed} records failed, though Kinesis was there`] : []),
      ...(isStorm ? ['there was a storm of retries'] : []),
      ...(answered > 0 ? [`no proof: ${answered} answers came while the service was away`] : []),
    ]
    return {
      passed: findings.length === 0 && balance.isWell,
      seconds: Math.round((performance.now() - since) / 100) / 10,
      ...{ ...balance, findings },
      outageSeconds: Math.round((to - from) / 1000),
      ...{
        failoverTimeMs,
        callsInDoubt,
        movesAfter,
        starvedLosses: starved,
        deliveredAgainMs,
        stoodStillMs,
        loadBefore,
        loadsDown: loads,
        storm: isStorm,
      },
    }
  })
}

/** Leases taken from who stood still shortly before, as a process that is stopped does. */
function starvedLosses(world: World, since: number): number {
  const { failoverTimeMs } = world.options
  return world.account.leases.takenSince(since).filter(({ takenFrom, from }) => {
    const app = world.apps.find(({ name }) => name === takenFrom)
    return app?.stood.between(from - 2 * failoverTimeMs, from)
  }).length
}

function isFair(held: ReadonlyMap<string, readonly string[]>): boolean {
  const counts = [...held.values()].map((shards) => shards.length)
  return counts.length === WORKERS && counts.every((count) => count === SHARDS / WORKERS)
}

async function recovery(world: World, since: number): Promise<number> {
  const shards = new Set((await world.stream.openShards()).map(({ ShardId }) => ShardId))
  let last = 0
  const deaf = world.listen((_, fact) => {
    if (fact.fact === 'began' && fact.at >= since && shards.delete(fact.shardId)) last = fact.at - since
  })
  await world.until('every shard to be handled again', () => shards.size === 0, PATIENCE_MS)
  deaf()
  return Math.round(last)
}
