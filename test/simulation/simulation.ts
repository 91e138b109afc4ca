import { type Plan, planOf } from './disturbance.js'
import { Disturber } from './disturber.js'
import { SPARED_BESIDE_JAVA } from './java-peers.js'
import { hasSettled, judgeBuffers, judgeHandoffs, judgeRest, judgeSilence, judgeStop } from './verdict.js'
import { World } from './world.js'

/** Between two looks at everything. */
const LOOK_EVERY_MS = 500
const SETTLES_WITHIN_MS = 150_000
/** A read takes five records at least, five times a second. */
const CATCHES_UP_WITHIN_MS = 90_000
const PRODUCERS_CLOSE_WITHIN_MS = 20_000
/**
 * Beside KCL 3.x: a dead worker's row counts as fresh for a minute, and its leader assigns to the dead (KCL#1452); when all of Java is gone we
 * see it within two probes of half a minute and that minute (docs/lease-protocol.md).
 */
const LED_FLEET_SETTLES_WITHIN_MS = 150_000

export interface SimulationOptions {
  readonly seed: number
  /** What goes wrong, in place of what the seed has in store. */
  readonly plan?: Plan | undefined
  /** Which of the plan's disturbances happen. Default: all. */
  readonly only?: ReadonlySet<number> | undefined
  /** Is told of whatever happens. */
  readonly trace?: ((line: string) => void) | undefined
  /** Is called whenever so much time has passed in the world that all is looked at. */
  readonly looked?: (() => void) | undefined
}

export interface SimulationResult {
  readonly seed: number
  /** Broken promises: a world ends with the first step that breaks one. */
  readonly violations: readonly string[]
  readonly virtualMs: number
  readonly steps: number
  readonly puts: number
  readonly acknowledged: number
  /** Records that were given to handlers, again and again included. */
  readonly handled: number
  readonly disturbances: number
  /** Times that a lease was taken or given up. */
  readonly moves: number
}

/** One world, from its seed to its end. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  return new Simulation(options).run()
}

/** The course of a world: some time of disturbances, then calm, in which everything must come to rest, and the end. */
class Simulation {
  readonly #only: ReadonlySet<number> | undefined
  readonly #plan: Plan
  readonly #world: World
  readonly #disturber: Disturber
  readonly #violations: string[] = []
  readonly #looked: (() => void) | undefined

  constructor({ seed, plan, only, trace, looked }: SimulationOptions) {
    this.#only = only
    this.#looked = looked
    const violated = (what: string): void => {
      this.#violations.push(`${this.#world.time.now.toFixed(3)}: ${what}`)
      this.#world.trace(`VIOLATED: ${what}`)
    }
    this.#world = new World({ seed, violated, trace })
    const { peers, settings } = this.#world
    this.#plan = plan ?? planOf(seed, settings.consumer.failoverTimeMs, peers && SPARED_BESIDE_JAVA)
    this.#disturber = new Disturber(this.#world)
  }

  async run(): Promise<SimulationResult> {
    const { time, random, settings, truth, ledger, trace } = this.#world
    const { failoverTimeMs, handoffTimeoutMs } = settings.consumer
    const producers = 1 + Math.floor(random() * 2)
    for (let i = 0; i < settings.consumers; i++) time.after(random() * 1_000, () => this.#world.addConsumer())
    this.#planPeers()
    for (let i = 0; i < producers; i++) time.after(random() * 1_000, () => this.#world.addProducer())
    for (const [i, disturbance] of this.#plan.disturbances.entries()) {
      if (this.#only?.has(i) === false) continue
      time.at(disturbance.at, () => {
        trace(`disturbance ${i}: ${JSON.stringify(disturbance)}`)
        this.#disturber.disturb(disturbance)
      })
    }
    time.after(LOOK_EVERY_MS, this.#look)
    await this.#pass(this.#plan.calmAt)
    trace('calm')
    this.#disturber.calm()
    const { peers } = this.#world
    if (peers?.leave === true) this.#disturber.migrate('ours', failoverTimeMs)
    if (peers !== undefined) await this.#pass(peers.version === '2.x' ? failoverTimeMs * 6 : LED_FLEET_SETTLES_WITHIN_MS)
    // Late calls arrive, what has expired is taken, handoffs are over; then nothing has a reason to move any more.
    await this.#pass(9_000 + failoverTimeMs * 3 + handoffTimeoutMs)
    // A backlog is read to its end first, and a shard that has left the stream is asked for three times.
    await this.#passUntil(() => hasSettled(this.#world), SETTLES_WITHIN_MS)
    await this.#pass(failoverTimeMs + 3_000)
    const { moves } = truth
    await this.#pass(failoverTimeMs * 2)
    if (truth.moves !== moves)
      this.#world.violated(`the fleet does not come to rest: ${truth.moves - moves} moves in calm weather`)
    await this.#closeProducers()
    // What they wrote last is read, and what has gathered.
    await this.#pass(2_000)
    await this.#passUntil(() => ledger.isDelivered, CATCHES_UP_WITHIN_MS)
    if (!this.#isOver) judgeRest(this.#world)
    await this.#stopConsumers(failoverTimeMs * 3 + handoffTimeoutMs + 5_000)
    return this.#result()
  }

  #planPeers(): void {
    const { time, random, peers } = this.#world
    if (peers === undefined) return
    for (let i = 0; i < peers.count; i++) time.after(random() * 1_000, () => this.#world.addJava())
    if (peers.ours === 0) this.#world.newcomers = 'java'
    const { failoverTimeMs } = this.#world.settings.consumer
    for (const { at, to } of peers.migrations) time.at(at * this.#plan.calmAt, () => this.#disturber.migrate(to, failoverTimeMs))
  }

  readonly #look = (): void => {
    this.#world.time.after(LOOK_EVERY_MS, this.#look)
    this.#looked?.()
    judgeSilence(this.#world)
    judgeBuffers(this.#world)
    judgeHandoffs(this.#world)
  }

  get #isOver(): boolean {
    return this.#violations.length > 0
  }

  async #pass(ms: number): Promise<void> {
    const { time } = this.#world
    if (!this.#isOver) await time.pass(time.now + ms, () => !this.#isOver)
  }

  async #passUntil(isDone: () => boolean, atMostMs: number): Promise<void> {
    const { time } = this.#world
    const end = time.now + atMostMs
    // A world that is over is left as it is: what it is asked may not be there, as a stream that is gone.
    while (!this.#isOver && !isDone() && time.now < end) await this.#pass(LOOK_EVERY_MS)
  }

  async #closeProducers(): Promise<void> {
    const { aliveProducers, violated } = this.#world
    let left = aliveProducers.length
    for (const app of aliveProducers) {
      void app.close().then(() => {
        left--
      })
    }
    // Their applications have timers, too, which run out.
    const isQuiet = (): boolean => left === 0 && aliveProducers.every(({ process }) => process.liveTimers === 0)
    await this.#passUntil(isQuiet, PRODUCERS_CLOSE_WITHIN_MS)
    if (this.#isOver) return
    if (left > 0) violated(`${left} producers do not close in calm weather`)
    for (const { process } of aliveProducers) {
      if (process.liveTimers > 0) violated(`${process.name} has closed and leaves ${process.liveTimers} timers behind`)
    }
  }

  async #stopConsumers(withinMs: number): Promise<void> {
    const alive = this.#world.consumers.filter(({ process }) => !process.isDead)
    if (this.#isOver) return
    this.#world.isOver = true
    for (const app of alive) app.stop(undefined)
    await this.#passUntil(() => alive.every(({ isStopped }) => isStopped), withinMs)
    if (!this.#isOver) judgeStop(this.#world)
  }

  #result(): SimulationResult {
    const { seed, ledger, time, truth } = this.#world
    const puts = [...ledger.puts.values()]
    let handled = 0
    for (const { copies } of ledger.shards) for (const { calls } of copies) handled += calls
    return {
      seed,
      violations: this.#violations,
      virtualMs: Math.round(time.now),
      steps: time.steps,
      puts: puts.length,
      acknowledged: puts.filter(({ state }) => state === 'acknowledged').length,
      handled,
      disturbances: this.#plan.disturbances.length,
      moves: truth.moves,
    }
  }
}
