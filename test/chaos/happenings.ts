import { setTimeout as delay } from 'node:timers/promises'
import type { FaultLink, Reach } from './fault-link.js'
import { CALM } from './flow.js'
import { machineNow } from './machine-time.js'
import type { Kind, Step } from './steps.js'
import type { ProducerProcess, WorkerProcess, World } from './world.js'

const LEAST_SHARDS = 2
const MOST_SHARDS = 8
/** How long a deploy waits for a newcomer to have a shard. */
const NEWCOMER_MS = 8000
/** All producers together put three times what four shards take. */
const SURGE_BYTES = 12_000

/** What was done, by kind, and what could not be (nobody was well enough, a deploy was going on). */
export interface HappeningCounts {
  readonly done: Readonly<Record<string, number>>
  readonly skipped: number
  readonly kills: number
  readonly pauses: number
  readonly reshards: number
  readonly restarts: number
  readonly deploys: number
}

/** Carries out the steps of a run: each begins at its time, and may take long. */
export class Happenings {
  readonly #world: World
  readonly #workers: number
  readonly #done = new Map<Kind, number>()
  readonly #going = new Set<Promise<void>>()
  #skipped = 0
  #filling: Promise<void> = Promise.resolve()
  #deploying = false
  #resharding = false
  #restarting = false

  constructor(world: World) {
    this.#world = world
    this.#workers = world.workers.length
  }

  /** Resolves when the last one has begun. */
  async run(steps: readonly Step[]): Promise<void> {
    const since = performance.now()
    for (const step of steps) {
      await this.#world.orBroken(delay(Math.max(0, since + step.atMs - performance.now())))
      const going = this.#happen(step).catch((error: Error) => this.#world.fail(error))
      this.#going.add(going)
      void going.then(() => this.#going.delete(going))
    }
  }

  /** Resolves when all that began is over. */
  async over(): Promise<void> {
    await this.#world.orBroken(Promise.all(this.#going))
  }

  get counts(): HappeningCounts {
    const of = (...kinds: Kind[]): number => kinds.reduce((sum, kind) => sum + (this.#done.get(kind) ?? 0), 0)
    return {
      done: Object.fromEntries([...this.#done].sort()),
      skipped: this.#skipped,
      kills: of('worker-killed', 'producer-killed'),
      pauses: of('worker-paused-short', 'worker-paused-long', 'producer-paused'),
      reshards: of('split', 'merge'),
      restarts: of('service-restarted'),
      deploys: of('rolling-deploy'),
    }
  }

  async #happen(step: Step): Promise<void> {
    const { kind, whom, much } = step
    const { failoverTimeMs } = this.#world.options
    switch (kind) {
      case 'worker-killed':
        return this.#withWorker(step, async (worker) => {
          await this.#world.end(worker, 'kill')
          await delay(much * 3000)
          await this.#fill()
        })
      case 'worker-paused-short':
        return this.#withWorker(step, (worker) => worker.app.pause(failoverTimeMs * (0.2 + 0.4 * much)))
      case 'worker-paused-long':
        return this.#withWorker(step, (worker) => worker.app.pause(failoverTimeMs * (1.3 + 1.2 * much)))
      case 'worker-replaced':
        return this.#withWorker(step, (worker) => this.#replace(worker, much < 0.5))
      case 'rolling-deploy':
        return this.#deploy(step)
      case 'producer-killed':
        return this.#withProducer(step, async (producer) => {
          await this.#world.end(producer, 'kill')
          await this.#world.addProducer(producer.plan)
        })
      case 'producer-paused':
        return this.#withProducer(step, (producer) => producer.app.pause(500 + 11_500 * much))
      case 'producer-replaced':
        return this.#withProducer(step, async (producer) => {
          const [ended] = [this.#world.end(producer, 'stop')]
          await this.#world.addProducer(producer.plan)
          await ended
        })
      case 'split':
      case 'merge':
        return this.#reshard(step)
      case 'surge':
        return this.#surge(step)
      case 'service-restarted':
        return this.#restart(step)
      case 'table-unreachable': {
        const links = this.#world.workers.map(({ dynamodb }) => dynamodb)
        const forMs = failoverTimeMs * (0.4 + 1.6 * much)
        this.#say(step, `the lease table, for ${Math.round(forMs)} ms`)
        return this.#out(links, whom < 0.5 ? 'closed' : 'swallowing', forMs)
      }
      case 'slow':
      case 'narrow':
        return this.#weather(step)
      default:
        return this.#ofLink(step)
    }
  }

  #ofLink(step: Step): Promise<void> | void {
    const used = this.#world.links.filter(({ link }) => link.isUsed)
    if (used.length === 0) return this.#skip(step)
    const { name, link, isTable } = pick(used, step.whom)
    const { kind, much } = step
    if (kind === 'reset' || kind === 'half-open' || kind === 'truncated') {
      this.#say(step, name)
      if (kind === 'reset') link.reset()
      else if (kind === 'half-open') link.halfOpen()
      else link.truncate(Math.floor(much * 2000))
      return
    }
    const forMs = isTable ? this.#world.options.failoverTimeMs * (0.3 + 1.7 * much) : 500 + 7500 * much
    this.#say(step, `${name}, for ${Math.round(forMs)} ms`)
    return this.#out([link], kind as Reach, forMs)
  }

  async #out(links: readonly FaultLink[], reach: Reach, forMs: number): Promise<void> {
    await Promise.all(links.map((link) => link.set(reach)))
    await delay(forMs)
    await Promise.all(links.map((link) => link.set('open')))
  }

  async #weather(step: Step): Promise<void> {
    const { name, link } = pick(this.#world.links, step.whom)
    const { kind, much } = step
    this.#say(step, name)
    const bytesPerSecond = kind === 'narrow' ? 60_000 + 200_000 * much : Number.POSITIVE_INFINITY
    link.weather = kind === 'narrow' ? { ...CALM, bytesPerSecond } : { ...CALM, latencyMs: 20 + 250 * much, jitterMs: 200 * much }
    // What is only slow loses no answer. What is narrow may: the largest requests take longer than they are waited for.
    const end = kind === 'narrow' ? link.trouble.begin(machineNow()) : undefined
    await delay(5000 + 10_000 * much)
    link.weather = CALM
    end?.(link.settlesAt)
  }

  async #reshard(step: Step): Promise<void> {
    const open = await this.#world.stream.openShards()
    const isSplit = step.kind === 'split'
    if (this.#resharding || (isSplit ? open.length >= MOST_SHARDS : open.length <= LEAST_SHARDS)) return this.#skip(step)
    this.#resharding = true
    if (isSplit) {
      const { ShardId, HashKeyRange } = pick(open, step.whom)
      const middle = (BigInt(HashKeyRange.StartingHashKey) + BigInt(HashKeyRange.EndingHashKey)) / 2n
      this.#say(step, ShardId)
      await this.#world.stream.call('SplitShard', { ShardToSplit: ShardId, NewStartingHashKey: String(middle) })
    } else {
      const at = Math.floor(step.whom * (open.length - 1))
      const [left, right] = [open[at]!.ShardId, open[at + 1]!.ShardId]
      this.#say(step, `${left} and ${right}`)
      await this.#world.stream.call('MergeShards', { ShardToMerge: left, AdjacentShardToMerge: right })
    }
    await this.#world.stream.untilActive()
    this.#resharding = false
  }

  async #restart(step: Step): Promise<void> {
    if (this.#restarting) return this.#skip(step)
    this.#restarting = true
    const downMs = 200 + 4000 * step.much
    this.#say(step, `Kinesis, away for ${Math.round(downMs)} ms`)
    const ends = this.#world.producers.map(({ kinesis }) => kinesis.trouble.begin(machineNow()))
    await this.#world.kinesis.ask('restart', { downMs })
    for (const end of ends) end(machineNow())
    this.#restarting = false
  }

  /** More than the shards take: the service refuses, and buffers fill. */
  async #surge(step: Step): Promise<void> {
    const forMs = 3000 + 3000 * step.much
    const producers = [...this.#world.producers]
    this.#say(step, `records of ${SURGE_BYTES} bytes, for ${Math.round(forMs)} ms`)
    for (const { app } of producers) app.say({ say: 'load', meanBytes: SURGE_BYTES })
    await delay(forMs)
    for (const { app, plan } of producers) app.say({ say: 'load', meanBytes: plan.meanBytes })
  }

  async #replace(worker: WorkerProcess, newFirst: boolean): Promise<void> {
    if (newFirst) {
      const { app } = await this.#world.addWorker()
      const has = (): boolean => this.#world.account.leases.held().has(app.name)
      for (const giveUpAt = performance.now() + NEWCOMER_MS; !has() && performance.now() < giveUpAt; ) await delay(50)
    }
    if (this.#world.workers.includes(worker)) await this.#world.end(worker, 'stop')
    await this.#fill()
  }

  /** Several may have gone, and others come, at a time. */
  #fill(): Promise<void> {
    this.#filling = this.#filling.then(async () => {
      while (this.#world.workers.length < this.#workers) await this.#world.addWorker()
    })
    return this.#filling
  }

  async #deploy(step: Step): Promise<void> {
    if (this.#deploying) return this.#skip(step)
    this.#deploying = true
    this.#say(step, `all of ${this.#world.workers.length} workers`)
    for (const [i, worker] of [...this.#world.workers].entries()) {
      // Somebody may have killed it.
      if (this.#world.workers.includes(worker)) await this.#replace(worker, (i + Math.round(step.much)) % 2 === 0)
    }
    this.#deploying = false
  }

  async #withWorker(step: Step, act: (worker: WorkerProcess) => Promise<void>): Promise<void> {
    const well = this.#world.workers.filter(({ app }) => app.state === 'running')
    if (well.length < 2) return this.#skip(step)
    const worker = pick(well, step.whom)
    this.#say(step, worker.app.name)
    await act(worker)
  }

  async #withProducer(step: Step, act: (producer: ProducerProcess) => Promise<void>): Promise<void> {
    const well = this.#world.producers.filter(({ app }) => app.state === 'running')
    if (well.length < 2) return this.#skip(step)
    const producer = pick(well, step.whom)
    this.#say(step, producer.app.name)
    await act(producer)
  }

  #say({ kind }: Step, what: string): void {
    this.#done.set(kind, (this.#done.get(kind) ?? 0) + 1)
    this.#world.say(`${kind}: ${what}`)
  }

  #skip({ kind }: Step): void {
    this.#skipped++
    this.#world.log.line(`skipped: ${kind}`)
  }
}

function pick<T>(from: readonly T[], share: number): T {
  return from[Math.floor(share * from.length)]!
}
