import type { Disturbance, Whom } from './disturbance.js'
import { STREAM } from './kinesis-service.js'
import { CALM, type Service } from './network.js'
import type { SimulatedProcess } from './simulated-process.js'
import type { World } from './world.js'

const MOST_OPEN_SHARDS = 8
const DAY_MS = 86_400_000
const SERVICES: readonly Service[] = ['kinesis', 'dynamodb']

/** Carries out what the plan has in store for a world. */
export class Disturber {
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  disturb(disturbance: Disturbance): void {
    const { time, network, kinesis } = this.#world
    switch (disturbance.kind) {
      case 'weather':
        network.setWeather(disturbance.service, disturbance.weather)
        this.#world.disturbedUntil = Math.max(this.#world.disturbedUntil, time.now + disturbance.forMs)
        time.after(disturbance.forMs, () => network.setWeather(disturbance.service, CALM))
        break
      case 'cut':
        for (const process of this.#chosen(disturbance.whom)) this.#cut(process, disturbance.service, disturbance.forMs)
        break
      case 'pause':
        for (const process of this.#chosen(disturbance.whom)) process.pause(disturbance.forMs, disturbance.suspended)
        break
      case 'wall-clock':
        for (const process of this.#chosen(disturbance.whom)) process.setWallClock(disturbance.byMs)
        break
      case 'kill':
        for (const process of this.#chosen(disturbance.whom)) this.#world.kill(process, disturbance.againAfterMs)
        break
      case 'stop':
        void this.#consumer(disturbance.who)?.stop(disturbance.timeoutMs)
        if (disturbance.againAfterMs !== undefined) time.after(disturbance.againAfterMs, () => this.#world.addWorker())
        break
      case 'start':
        this.#world.addWorker()
        break
      case 'split':
        this.#split(disturbance.which, disturbance.where)
        break
      case 'merge':
        this.#merge(disturbance.which)
        break
      case 'handlers': {
        const app = this.#consumer(disturbance.who)
        const { slow, failing, blocking } = disturbance
        if (app !== undefined) Object.assign(app.conduct, { slow, failing, blocking })
        time.after(disturbance.forMs, () => app && Object.assign(app.conduct, { slow: 0, failing: 0, blocking: 0 }))
        break
      }
      case 'stale-listings':
        kinesis.staleListings = disturbance.chance
        time.after(disturbance.forMs, () => {
          kinesis.staleListings = 0
        })
        break
      case 'expired-iterators':
        kinesis.expiredIterators = disturbance.chance
        time.after(disturbance.forMs, () => {
          kinesis.expiredIterators = 0
        })
        break
      case 'refused-entries':
        kinesis.refusedEntries = disturbance.chance
        time.after(disturbance.forMs, () => {
          kinesis.refusedEntries = 0
        })
        break
      case 'retention':
        this.#world.ledger.learnShards()
        kinesis.jump(DAY_MS + 3_600_000)
        this.#world.ledger.expire(time.now)
        break
      case 'auto':
        this.#switchToAuto()
        break
    }
  }

  /** Everything that is left of it ends. */
  calm(): void {
    const { network, consumers, java, producers } = this.#world
    for (const service of SERVICES) network.setWeather(service, CALM)
    for (const { process } of [...consumers, ...java, ...producers]) {
      for (const service of SERVICES) network.mend(process, service)
      process.resume()
    }
    network.breakSilent()
    if (this.#world.aliveWorkers.length === 0) this.#world.addWorker()
  }

  /** One by one: who leaves is replaced by one of the other kind. */
  migrate(to: World['newcomers'], eachMs: number): void {
    const { time } = this.#world
    this.#world.newcomers = to
    const leave = (): void => {
      const [app] = to === 'ours' ? this.#world.aliveJava : this.#world.aliveConsumers
      if (app === undefined || this.#world.newcomers !== to) return
      this.#world.trace(`${app.process.name} makes room for ${to}`)
      void app.stop(undefined)
      this.#world.addWorker()
      time.after(eachMs, leave)
    }
    leave()
  }

  #consumer(who: number): World['aliveWorkers'][number] | undefined {
    const { aliveWorkers } = this.#world
    return aliveWorkers[Math.floor(who * aliveWorkers.length)]
  }

  #chosen(whom: Whom): SimulatedProcess[] {
    const { aliveWorkers, consumers, java, aliveProducers } = this.#world
    if (whom.is === 'all-consumers') return aliveWorkers.map(({ process }) => process)
    const among = whom.is === 'consumer' ? [...consumers, ...java].filter(({ process }) => !process.isDead) : aliveProducers
    const one = among[Math.floor(whom.who * among.length)]
    return one === undefined ? [] : [one.process]
  }

  #cut(process: SimulatedProcess, service: Service | 'both', forMs: number): void {
    const { network, time } = this.#world
    for (const each of service === 'both' ? SERVICES : [service]) {
      network.cut(process, each)
      time.after(forMs, () => network.mend(process, each))
    }
    process.disturbed(time.now + forMs)
  }

  #split(which: number, where: number): void {
    const open = this.#openShards()
    const shard = open[Math.floor(which * open.length)]
    if (shard === undefined || open.length >= MOST_OPEN_SHARDS) return
    const at = shard.start + ((shard.end - shard.start) * BigInt(Math.round(where * 1_000))) / 1_000n
    this.#reshard('SplitShard', { ShardToSplit: shard.ShardId, NewStartingHashKey: `${at}` })
  }

  #merge(which: number): void {
    const open = this.#openShards()
    const at = Math.floor(which * (open.length - 1))
    const [lower, upper] = [open[at], open[at + 1]]
    if (lower === undefined || upper === undefined) return
    this.#reshard('MergeShards', { ShardToMerge: lower.ShardId, AdjacentShardToMerge: upper.ShardId })
  }

  #reshard(operation: string, input: object): void {
    try {
      this.#world.kinesis.call(operation, { StreamName: STREAM, ...input })
    } catch (error) {
      // One at a time: the stream is being changed already.
      this.#world.trace(`no reshard: ${(error as Error).name}`)
    }
  }

  /** As an operator does it: on-demand first, which takes its time, then the distribution. */
  #switchToAuto(): void {
    const { time, kinesis, ledger, trace } = this.#world
    const StreamARN = kinesis.arn
    const patiently = (operation: string, input: object, then: () => void): void => {
      try {
        kinesis.call(operation, { StreamARN, ...input })
      } catch (error) {
        trace(`not yet: ${operation}: ${(error as Error).name}`)
        time.after(500, () => patiently(operation, input, then))
        return
      }
      then()
    }
    patiently('UpdateStreamMode', { StreamModeDetails: { StreamMode: 'ON_DEMAND' } }, () => {
      patiently('UpdateStreamRecordDistributionStrategy', { RecordDistributionStrategy: 'AUTO' }, () => {
        ledger.placesByKey = false
      })
    })
  }

  #openShards(): { readonly ShardId: string; readonly start: bigint; readonly end: bigint }[] {
    return this.#world.kinesis
      .openShards()
      .map(({ ShardId, HashKeyRange }) => ({
        ShardId: ShardId!,
        start: BigInt(HashKeyRange!.StartingHashKey!),
        end: BigInt(HashKeyRange!.EndingHashKey!),
      }))
      .sort((a, b) => (a.start < b.start ? -1 : 1))
  }
}
