import { seededRandom } from '@shardwise/core/random'
import { expect, it } from 'vitest'
import { Fleet, type FleetWorker, KEYS } from './fleet.js'
import type { Repeat } from './fleet-log.js'
import { RETRIEVALS } from './retrievals.js'

/** Another seed is another history, more steps a longer one (some two seconds each). */
const SEED = Number(process.env.SHARDWISE_SEED ?? 1)
const STEPS = Number(process.env.SHARDWISE_CHAOS_STEPS ?? 8)
const WORKERS = 4
const MOST_SHARDS = 10
const LEAST_SHARDS = 3

/** Does the worst to a fleet, drawn by lot. At least one worker is always well. */
class Chaos {
  readonly #fleet: Fleet
  readonly #random = seededRandom(SEED)
  readonly well: FleetWorker[] = []
  readonly #asleep: FleetWorker[] = []
  readonly #cutOff: FleetWorker[] = []
  /** Names. */
  readonly dead = new Set<string>()
  /** What was done, in order. */
  readonly done: string[] = []
  #joined = 0

  constructor(fleet: Fleet) {
    this.#fleet = fleet
  }

  async fill(): Promise<void> {
    while (this.well.length + this.#asleep.length + this.#cutOff.length < WORKERS) {
      const name = `worker-${++this.#joined}`
      this.done.push(`${name} joins`)
      this.well.push(await this.#fleet.join(name))
    }
  }

  async step(): Promise<void> {
    const steps = [this.#split, this.#merge, this.#kill, this.#stop, this.#suspend, this.#cut, this.heal]
    await this.#pick(steps).call(this)
    await this.fill()
    const { log } = this.#fleet
    const enough = log.entries.length + 5 + Math.floor(this.#random() * 60)
    await log.until('life to go on', () => log.entries.length > enough)
  }

  async heal(): Promise<void> {
    for (const worker of this.#asleep.splice(0)) {
      this.done.push(`${worker.name} wakes`)
      worker.signal('SIGCONT')
      this.well.push(worker)
    }
    for (const worker of this.#cutOff.splice(0)) {
      this.done.push(`${worker.name} is heard again`)
      worker.link.speak()
      this.well.push(worker)
    }
  }

  async #split(): Promise<void> {
    const open = await this.#fleet.harness.openShards()
    if (open.length >= MOST_SHARDS) return
    const shard = this.#pick(open)
    this.done.push(`split of ${shard.ShardId}`)
    await this.#fleet.harness.split(shard)
  }

  async #merge(): Promise<void> {
    const open = await this.#fleet.harness.openShards()
    if (open.length <= LEAST_SHARDS) return
    const at = Math.floor(this.#random() * (open.length - 1))
    this.done.push(`merge of ${open[at]!.ShardId} and ${open[at + 1]!.ShardId}`)
    await this.#fleet.harness.merge(open[at]!, open[at + 1]!)
  }

  async #kill(): Promise<void> {
    const worker = this.#victim('is killed')
    if (worker === undefined) return
    this.dead.add(worker.name)
    await worker.kill()
  }

  async #stop(): Promise<void> {
    await this.#victim('stops')?.stop()
  }

  async #suspend(): Promise<void> {
    const worker = this.#victim('falls asleep')
    if (worker === undefined) return
    worker.signal('SIGSTOP')
    this.#asleep.push(worker)
  }

  async #cut(): Promise<void> {
    const worker = this.#victim('is cut off')
    if (worker === undefined) return
    worker.link.silence()
    this.#cutOff.push(worker)
  }

  #victim(fate: string): FleetWorker | undefined {
    if (this.well.length < 2) return undefined
    const worker = this.#pick(this.well)
    this.well.splice(this.well.indexOf(worker), 1)
    this.done.push(`${worker.name} ${fate}`)
    return worker
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)]!
  }
}

it.each(RETRIEVALS)(
  `%s: deaths, stops, pauses, partitions and reshards under load, drawn by lot: nothing is lost, order is kept, and who gave cause for a repetition had died or lost the lease (seed ${SEED})`,
  {
    timeout: 120_000 + STEPS * 10_000,
  },
  async (way, options) => {
    await using fleet = await Fleet.start(4, { failoverTimeMs: 3000, checkpointIntervalMs: 300, ...options })
    const { log } = fleet
    const chaos = new Chaos(fleet)
    await chaos.fill()
    fleet.load()
    await fleet.delivered(3)
    for (let step = 0; step < STEPS; step++) await chaos.step()
    await chaos.heal()
    await fleet.quiet()
    await Promise.all(chaos.well.map((worker) => worker.stop()))

    const history = chaos.done.join('\n')
    expect(log.faults(KEYS, fleet.rounds), history).toEqual([])
    const lost = log.events('lease-lost')
    // A release that the table did not confirm: the lease expires, as that of a dead worker.
    const unconfirmed = log.events('lease-store-failed').filter(({ detail }) => JSON.parse(detail!).operation === 'release')
    const gone = new Set([...lost, ...unconfirmed].map(({ by, shardId }) => `${by} ${shardId}`))
    const unexplained = ({ position, by }: Repeat): boolean => {
      const shardId = position.split('/')[1]
      return by.slice(0, -1).some((name) => !chaos.dead.has(name) && !gone.has(`${name} ${shardId}`))
    }
    const [odd] = log.repeats().filter(unexplained)
    const lifeOf = (shardId?: string): string =>
      log.entries
        .flatMap((entry) => (entry.type === 'event' && entry.shardId === shardId ? JSON.stringify(entry) : []))
        .join('\n')
    expect(odd, `${history}\n${lifeOf(odd?.position.split('/')[1])}`).toBe(undefined)
    const causes = `${chaos.dead.size} deaths and ${lost.length} lost leases`
    console.log(
      `Chaos, ${way}, seed ${SEED}: ${log.delivered} records, ${log.repeats().length} twice or more, after ${causes}\n${history}`,
    )
  },
)
