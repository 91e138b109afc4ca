import { setTimeout as delay } from 'node:timers/promises'
import { seededRandom } from '@shardwise/core/random'
import type { App } from './app.js'
import type { FaultLink } from './fault-link.js'
import { isStorm, type LinkLoad, loadOf } from './link-load.js'
import { machineNow } from './machine-time.js'
import type { World } from './world.js'

/** Ways of being away: connections are reset, bytes vanish, or every call is refused by a service that fails. */
const WAYS = ['refusing', 'swallowing', 'failing'] as const
type Way = (typeof WAYS)[number]

export interface OutageLoad extends LinkLoad {
  readonly way: Way
}

export interface Outage {
  readonly from: number
  /** Then one of them can reach it again, and at `to` all. */
  readonly endsAt: number
  readonly to: number
  /** Acknowledgements or writes to leases that came through all the same: then it was no outage. */
  readonly answered: number
  readonly loads: readonly OutageLoad[]
  readonly isStorm: boolean
}

const FIRST_MS = 1500
/** What is under way when it begins is not counted as tried again. */
const SETTLES_MS = 1000

/** A service is away for so long, in each way for a third of it, in an order that the seed decides. */
export async function outage(
  world: World,
  {
    service,
    links,
    forMs,
    before,
  }: {
    readonly service: App
    readonly links: readonly FaultLink[]
    readonly forMs: number
    readonly before: LinkLoad
  },
): Promise<Outage> {
  const from = machineNow()
  const endTrouble = service === world.dynamodb ? world.tableTrouble.begin(from) : undefined
  const answers: { readonly by: string; readonly at: number }[] = []
  const deaf = world.listen((by, { fact, at }) => {
    if (fact === (service === world.dynamodb ? 'row' : 'acknowledged')) answers.push({ by, at })
  })
  const random = seededRandom(world.options.seed)
  const ways = [...WAYS].sort(() => random() - 0.5)
  const loads: OutageLoad[] = []
  for (const way of ways) {
    world.say(`${service.name} is away: ${way}, for ${Math.round(forMs / WAYS.length / 1000)} s`)
    // At no time between two ways can it be reached.
    if (way === 'failing') await service.ask('fail', true)
    await Promise.all(links.map((link) => link.set(way === 'failing' ? 'open' : way)))
    if (way !== 'failing') await service.ask('fail', false)
    const since = machineNow()
    for (let half = 0; half < 2; half++) {
      await world.orBroken(delay(forMs / WAYS.length / 2))
      await world.measure()
    }
    const load = { way, ...loadOf(links, since + SETTLES_MS, machineNow()) }
    loads.push(load)
    world.say(`${way}: ${told(load)}`)
  }
  // The first to come back sees nobody else at work, and what the others have said comes late.
  const [first, ...others] = links
  await Promise.all(others.map((link) => link.set('silent')))
  const endsAt = machineNow()
  deaf()
  await service.ask('fail', false)
  await first!.set('open')
  world.say(`${service.name} is back for one`)
  await world.orBroken(delay(FIRST_MS))
  await Promise.all(others.map((link) => link.set('open')))
  const to = machineNow()
  endTrouble?.(to)
  world.say(`${service.name} is back for all`)
  // A process that stands still has answers from before in its sockets; that it stood still it says after it has read them.
  const isUnexplained = ({ by, at }: (typeof answers)[number]): boolean =>
    at > from + forMs / 10 + world.stoodStillMs(from, at, [by, service.name])
  const answered = answers.filter(isUnexplained).length
  return { from, endsAt, to, answered, loads, isStorm: loads.some((load) => isStorm(before, load, links.length)) }
}

export function told({ requests, connects }: LinkLoad): string {
  return `${requests.mean} requests a second (at most ${requests.peak}), ${connects.mean} connections (at most ${connects.peak})`
}
