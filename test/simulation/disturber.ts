import type { Disturbance, Whom } from './disturbance.js'
import type { FleetMember } from './fleet-member.js'
import { CALM, type Service } from './network.js'
import type { SimulatedProcess } from './simulated-process.js'
import type { World } from './world.js'

const MOST_OPEN_SHARDS = 8
const DAY_MS = 86_400_000
const SERVICES: readonly Service[] = ['kinesis', 'dynamodb', 'sink']
const AGAIN_AFTER_MS = 500
/** For the stream to be ACTIVE. */
const MOST_ATTEMPTS = 20

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
        for (const process of this.#chosen(disturbance.whom)) {
          this.#cut(process, disturbance.service, disturbance.forMs)
          // The machine was moved, and its clock is set while it has no network.
          if (disturbance.clockMs !== 0 && this.#world.peers === undefined) process.setWallClock(disturbance.clockMs)
        }
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
      case 'stop': {
        for (const app of this.#one(disturbance.who)) app.process.receive(() => void app.stop(disturbance.timeoutMs))
        if (disturbance.againAfterMs !== undefined) time.after(disturbance.againAfterMs, () => this.#world.addWorker())
        break
      }
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
        const { slow, failing, blocking, longestMs } = disturbance
        for (const { conduct } of disturbance.who === 'all' ? this.#world.aliveWorkers : this.#one(disturbance.who)) {
          Object.assign(conduct, { slow, failing, blocking, longestMs })
          time.after(disturbance.forMs, () => Object.assign(conduct, { slow: 0, failing: 0, blocking: 0 }))
        }
        break
      }
      case 'hold': {
        const { aliveConsumers } = this.#world
        const app = aliveConsumers[Math.floor(disturbance.who * aliveConsumers.length)]
        if (app === undefined) break
        this.#tell(app, () => app.hold())
        time.after(disturbance.forMs, () => app.process.receive(() => app.goOn()))
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
        this.#switchToAuto(this.#stream(disturbance.which))
        break
      case 'keys-away':
        this.#world.keyService.isAway = true
        this.#world.disturbedUntil = Math.max(this.#world.disturbedUntil, time.now + disturbance.forMs)
        time.after(disturbance.forMs, () => {
          this.#world.keyService.isAway = false
        })
        break
      case 'remove-stream':
        this.#remove(this.#stream(disturbance.which), disturbance.whom, disturbance.againAfterMs)
        break
      case 'recreate':
        this.#recreate(this.#stream(disturbance.which), disturbance.shards, disturbance.goneForMs)
        break
      case 'rolling-deploy':
        this.#deploy(disturbance.everyMs, disturbance.timeoutMs)
        break
    }
  }

  /** Everything that is left of it ends. */
  calm(): void {
    const { network, consumers, java, producers } = this.#world
    this.#world.isCalm = true
    for (const service of SERVICES) network.setWeather(service, CALM)
    for (const { conduct } of consumers) conduct.slow = 0
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
      app.process.receive(() => void app.stop(undefined))
      this.#world.addWorker()
      time.after(eachMs, leave)
    }
    leave()
  }

  #one(who: number): World['aliveWorkers'] {
    const { aliveWorkers } = this.#world
    return aliveWorkers.slice(Math.floor(who * aliveWorkers.length)).slice(0, 1)
  }

  #chosen(whom: Whom): SimulatedProcess[] {
    const { aliveWorkers, consumers, java, aliveProducers } = this.#world
    if (whom.is === 'all-consumers') return aliveWorkers.map(({ process }) => process)
    const among = whom.is === 'consumer' ? [...consumers, ...java].filter(({ process }) => !process.isDead) : aliveProducers
    const one = among[Math.floor(whom.who * among.length)]
    return one === undefined ? [] : [one.process]
  }

  #cut(process: SimulatedProcess, service: Service | 'all', forMs: number): void {
    const { network, time } = this.#world
    for (const each of service === 'all' ? SERVICES : [service]) {
      network.cut(process, each)
      time.after(forMs, () => network.mend(process, each))
    }
    process.disturbed(time.now + forMs)
  }

  #stream(which: number): string {
    const { streams } = this.#world.settings
    return streams[Math.floor(which * streams.length)]!.name
  }

  /** From one worker, or from all, those included that start meanwhile. They get it back. */
  #remove(name: string, whom: 'one' | 'all', againAfterMs: number): void {
    const { aliveConsumers, settings, streams, time, random } = this.#world
    if (!settings.severalStreams) return
    const some = whom === 'all' ? aliveConsumers : aliveConsumers.slice(Math.floor(random() * aliveConsumers.length)).slice(0, 1)
    if (whom === 'all') streams.delete(name)
    const removed = some.filter((app) => !app.process.isDead)
    for (const app of removed) this.#tell(app, () => app.removeStream(name))
    time.after(againAfterMs, () => {
      const without = streams.has(name) ? removed : this.#world.aliveConsumers
      streams.add(name)
      for (const app of without) if (!app.process.isDead && !app.isStopping) this.#tell(app, () => app.addStream(name))
    })
  }

  /** When its process runs. */
  #tell(app: Pick<FleetMember, 'process' | 'isStopping'>, what: () => void): void {
    app.process.receive(() => {
      if (!app.isStopping) what()
    })
  }

  #recreate(name: string, shards: number, goneForMs: number): void {
    const { kinesis, ledger, time, trace } = this.#world
    this.#patiently('DeleteStream', () => {
      kinesis.delete(name, () => {
        ledger.deleted(name)
        time.after(goneForMs, () => {
          const room = MOST_OPEN_SHARDS - this.#openShards().length
          const count = Math.max(1, Math.min(shards, room))
          trace(`${name} is created anew with ${count} shards`)
          ledger.opened(name, kinesis.create(name, count))
        })
      })
      ledger.stream(name).isGoing = true
    })
  }

  /** One worker after the other is replaced by a new one. */
  #deploy(everyMs: number, timeoutMs: number | undefined): void {
    const { time, aliveWorkers } = this.#world
    for (const [i, app] of aliveWorkers.entries()) {
      time.after(i * everyMs, () => {
        this.#tell(app, () => void app.stop(timeoutMs))
        this.#world.addWorker()
      })
    }
  }

  #split(which: number, where: number): void {
    const open = this.#openShards()
    const shard = open[Math.floor(which * open.length)]
    if (shard === undefined || open.length >= MOST_OPEN_SHARDS) return
    const at = shard.start + ((shard.end - shard.start) * BigInt(Math.round(where * 1_000))) / 1_000n
    this.#reshard('SplitShard', { StreamName: shard.stream, ShardToSplit: shard.ShardId, NewStartingHashKey: `${at}` })
  }

  #merge(which: number): void {
    const open = this.#openShards()
    const at = Math.floor(which * (open.length - 1))
    const [lower, upper] = [open[at], open[at + 1]]
    if (lower === undefined || upper?.stream !== lower.stream) return
    this.#reshard('MergeShards', { StreamName: lower.stream, ShardToMerge: lower.ShardId, AdjacentShardToMerge: upper.ShardId })
  }

  #reshard(operation: string, input: object): void {
    try {
      this.#world.kinesis.call(operation, input)
    } catch (error) {
      // One at a time: the stream is being changed already.
      this.#world.trace(`no reshard: ${(error as Error).name}`)
    }
  }

  /** As an operator does it: on-demand first, which takes its time, then the distribution. */
  #switchToAuto(name: string): void {
    const { kinesis, ledger } = this.#world
    const StreamARN = kinesis.arnOf(name)
    this.#patiently('UpdateStreamMode', () => {
      kinesis.call('UpdateStreamMode', { StreamARN, StreamModeDetails: { StreamMode: 'ON_DEMAND' } })
      this.#patiently('UpdateStreamRecordDistributionStrategy', () => {
        kinesis.call('UpdateStreamRecordDistributionStrategy', { StreamARN, RecordDistributionStrategy: 'AUTO' })
        ledger.stream(name).placesByKey = false
      })
    })
  }

  /** A stream takes one change at a time. */
  #patiently(operation: string, attempt: () => void, attempts = 1): void {
    try {
      attempt()
    } catch (error) {
      this.#world.trace(`not yet: ${operation}: ${(error as Error).name}`)
      if (attempts < MOST_ATTEMPTS)
        this.#world.time.after(AGAIN_AFTER_MS, () => this.#patiently(operation, attempt, attempts + 1))
    }
  }

  /** Of all streams, in the order of their hash keys. */
  #openShards(): OpenShard[] {
    const { kinesis, ledger, settings } = this.#world
    return settings.streams.flatMap(({ name: stream }) => {
      if (ledger.stream(stream).deletedAt !== undefined) return []
      const shards = kinesis.openShards(stream).map(({ ShardId, HashKeyRange }) => ({
        stream,
        ShardId: ShardId!,
        start: BigInt(HashKeyRange!.StartingHashKey!),
        end: BigInt(HashKeyRange!.EndingHashKey!),
      }))
      return shards.sort((a, b) => (a.start < b.start ? -1 : 1))
    })
  }
}

interface OpenShard {
  readonly stream: string
  readonly ShardId: string
  readonly start: bigint
  readonly end: bigint
}
