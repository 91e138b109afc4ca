import { setTimeout as delay } from 'node:timers/promises'
import { type Random, seededRandom } from '@shardwise/core/random'
import { Progress } from '../soak/progress.js'
import { Account } from './account.js'
import { App } from './app.js'
import type { ProducerSetup } from './app-messages.js'
import { ChaosLog } from './chaos-log.js'
import { type ChaosOptions, commandOf } from './chaos-options.js'
import type { Fact } from './facts.js'
import { FaultLink, type LinkEffects } from './fault-link.js'
import { CALM } from './flow.js'
import { machineNow } from './machine-time.js'
import { watchStandstill } from './standstill.js'
import { StreamControl } from './stream-control.js'
import { Trouble } from './trouble.js'

const STREAM = 'chaos'
const APPLICATION = 'chaos-app'
const PAUSE_MS = 20
/** On a machine that gives processes no time: by how many times it is waited longer. */
const MOST_PATIENCE = 3
const MEASURE_MS = 20_000

export interface WorldOptions {
  readonly shards: number
  readonly failoverTimeMs: number
}

export type ProducerPlan = Omit<ProducerSetup, 'producer' | 'endpoint' | 'stream'>

export interface ProducerProcess {
  readonly app: App
  readonly producer: number
  readonly plan: ProducerPlan
  readonly kinesis: FaultLink
}

export interface WorkerProcess {
  readonly app: App
  readonly kinesis: FaultLink
  readonly dynamodb: FaultLink
}

export interface MemorySample {
  readonly at: number
  readonly rssBytes: number
  readonly heapBytes: number
  readonly bufferedBytes: number
  /** Everything unreachable was collected just before. */
  readonly collected: boolean
}

export class WaitedTooLongError extends Error {
  override readonly name = 'WaitedTooLongError'
}

/** The processes of a run, the network between them, and the account of what they tell. */
export class World implements AsyncDisposable {
  readonly options: ChaosOptions & WorldOptions
  readonly account: Account
  readonly log: ChaosLog
  readonly producers: ProducerProcess[] = []
  readonly workers: WorkerProcess[] = []
  readonly memory: Map<string, MemorySample[]> = new Map()
  readonly #listeners = new Set<(by: string, fact: Fact) => void>()
  readonly #apps: App[] = []
  /** When this process, which is the network between all others, stood still. */
  readonly #stood = new Trouble()
  /** While the lease table refuses everybody. */
  readonly tableTrouble: Trouble = new Trouble()
  readonly #links: FaultLink[] = []
  /** Workers that read so. */
  readonly #fanOut = new Set<string>()
  readonly #random: Random
  readonly #progress: Progress
  /** Rejects when the run cannot go on. */
  readonly broken: Promise<never>
  #break: (reason: Error) => void = () => {}
  #endpoints = { kinesis: '', dynamodb: '' }
  #watch: NodeJS.Timeout | undefined
  #kinesis: App | undefined
  #dynamodb: App | undefined
  #joined = 0
  #producing = 0
  ended = false

  constructor(options: ChaosOptions & WorldOptions, interrupted: AbortSignal) {
    this.options = options
    this.account = new Account(options.failoverTimeMs)
    this.#random = seededRandom(options.seed + 1)
    this.log = new ChaosLog(`${options.scenario}-${options.seed}`)
    this.broken = new Promise((_, reject) => {
      this.#break = reject
      // Perhaps while the program was still loading.
      if (interrupted.aborted) reject(interrupted.reason)
      interrupted.addEventListener('abort', () => reject(interrupted.reason), { once: true })
    })
    this.broken.catch(() => {})
    this.#progress = new Progress(process.stdout, () => this.#line())
  }

  async start(): Promise<void> {
    this.say(commandOf(this.options))
    this.#kinesis = this.#start('kinesis', 'kinesis-app.ts')
    this.#dynamodb = this.#start('dynamodb', 'dynamodb-app.ts')
    const [kinesis, dynamodb] = await this.orBroken(
      Promise.all([this.#kinesis.ask('start', undefined), this.#dynamodb.ask('start', undefined)]),
    )
    this.#endpoints = { kinesis, dynamodb }
    await this.stream.call('CreateStream', { ShardCount: this.options.shards })
    await this.stream.untilActive()
    this.say(`Kinesis (${kinesis}) and DynamoDB (${dynamodb}) run on this machine`)
    this.#progress.start()
    this.#watch = watchStandstill((from, to) => this.#stood.begin(from)(to), { busyToo: true })
  }

  /** Plays a run on this world; what was seen stays in a file when it does not pass. */
  async judged<T extends { readonly passed: boolean; readonly findings: readonly string[] }>(play: () => Promise<T>): Promise<T> {
    let passed = false
    try {
      const result = await play()
      passed = result.passed
      for (const finding of result.findings) this.log.line(finding)
      return result
    } catch (error) {
      this.say(`broken off: ${(error as Error).message}`)
      throw error
    } finally {
      if (!passed) this.say(`what was seen is in ${this.log.path}`)
      await this.log.end(!passed)
    }
  }

  get apps(): readonly App[] {
    return this.#apps
  }

  get kinesis(): App {
    return this.#kinesis!
  }

  get stream(): StreamControl {
    return new StreamControl(this.kinesis, STREAM)
  }

  get dynamodb(): App {
    return this.#dynamodb!
  }

  /** Handler calls by the way in which their workers read. Undefined: none was to read so. */
  callsByReading(): { readonly polling: number | undefined; readonly fanOut: number | undefined } {
    const { reading } = this.options
    const fanOut = this.account.calls.calls.filter(({ worker }) => this.#fanOut.has(worker)).length
    const polling = this.account.calls.calls.length - fanOut
    return { polling: reading === 'fan-out' ? undefined : polling, fanOut: reading === 'polling' ? undefined : fanOut }
  }

  /** What the faults have come to, over all links there were. */
  get effects(): LinkEffects {
    const sum: LinkEffects = { broken: 0, refused: 0, halfOpen: 0, truncated: 0, swallowedBytes: 0, latePieces: 0 }
    for (const { effects } of this.#links) for (const key of Object.keys(sum) as (keyof LinkEffects)[]) sum[key] += effects[key]
    return sum
  }

  /** All links that are in use: each producer's, then each worker's two. */
  get links(): readonly { readonly name: string; readonly link: FaultLink; readonly isTable: boolean }[] {
    return [
      ...this.producers.map(({ app, kinesis }) => ({ name: `${app.name} to kinesis`, link: kinesis, isTable: false })),
      ...this.workers.flatMap(({ app, kinesis, dynamodb }) => [
        { name: `${app.name} to kinesis`, link: kinesis, isTable: false },
        { name: `${app.name} to dynamodb`, link: dynamodb, isTable: true },
      ]),
    ]
  }

  async addProducer(plan: ProducerPlan): Promise<ProducerProcess> {
    const producer = this.#producing++
    const name = `producer-${producer}`
    const kinesis = await this.#link(this.#endpoints.kinesis)
    const app = this.#start(name, 'producer-app.ts', producer)
    this.account.addProducer(producer, plan.ordering !== 'none', [
      ...[kinesis.trouble, app.stood, this.kinesis.stood, this.#stood],
    ])
    app.say({ say: 'run', setup: { ...plan, producer, endpoint: kinesis.endpoint, stream: STREAM } })
    const added = { app, producer, plan, kinesis }
    this.producers.push(added)
    return added
  }

  async addWorker(): Promise<WorkerProcess> {
    const number = ++this.#joined
    const name = `worker-${number}`
    const [kinesis, dynamodb] = [await this.#link(this.#endpoints.kinesis), await this.#link(this.#endpoints.dynamodb)]
    const app = this.#start(name, 'worker-app.ts')
    const { reading, failoverTimeMs } = this.options
    const fanOut = reading === 'fan-out' || (reading === 'mixed' && number % 2 === 0)
    if (fanOut) this.#fanOut.add(name)
    const ends = { kinesisEndpoint: kinesis.endpoint, dynamodbEndpoint: dynamodb.endpoint }
    app.say({ say: 'run', setup: { name, stream: STREAM, applicationName: APPLICATION, ...ends, failoverTimeMs, fanOut } })
    this.account.addWorker(name, app.stood, [dynamodb.trouble, this.dynamodb.stood, this.tableTrouble, this.#stood])
    const added = { app, kinesis, dynamodb }
    this.workers.push(added)
    return added
  }

  /** Takes it out of those that things happen to, ends it, and takes its links away. */
  async end(one: ProducerProcess | WorkerProcess, how: 'kill' | 'stop'): Promise<void> {
    for (const list of [this.producers, this.workers] as (ProducerProcess | WorkerProcess)[][]) {
      if (list.includes(one)) list.splice(list.indexOf(one), 1)
    }
    await (how === 'kill' ? one.app.kill() : one.app.stop())
    if (how === 'kill' && 'dynamodb' in one) this.account.died(one.app.name, this.#lastSeen.get(one.app.name) ?? 0, machineNow())
    await one.kinesis[Symbol.asyncDispose]()
    if ('dynamodb' in one) await one.dynamodb[Symbol.asyncDispose]()
  }

  /**
   * For how long processes of this run stood still between two times, all added: what takes its time meanwhile is not the library's doing. `names`: only
   * these; the network is always among them.
   */
  stoodStillMs(from: number, to: number, names?: readonly string[]): number {
    const apps = this.apps.filter(({ name }) => names === undefined || names.includes(name))
    return [this.#stood, ...apps.map(({ stood }) => stood)].reduce((sum, stood) => sum + stood.msBetween(from, to), 0)
  }

  /** All links as they should be. */
  async heal(): Promise<void> {
    for (const { link } of this.links) {
      link.weather = CALM
      await link.set('open')
    }
  }

  /** Has producers and workers say how much memory they have in use. */
  async measure(): Promise<void> {
    const waiting = new Set([...this.producers, ...this.workers].map(({ app }) => app))
    const names = new Set([...waiting].map(({ name }) => name))
    const deaf = this.listen((by, fact) => {
      if (fact.fact === 'memory' && fact.collected === true) names.delete(by)
    })
    for (const app of waiting) app.say({ say: 'measure' })
    await this.until('memory to be measured', () => names.size === 0, MEASURE_MS)
    deaf()
  }

  /** Resolves once `holds`, which is asked again and again; rejects when that takes too long, though processes did not stand still. */
  async until(what: string, holds: () => boolean, patienceMs: number): Promise<void> {
    const since = machineNow()
    while (!holds()) {
      const stoodMs = Math.min(this.stoodStillMs(since, machineNow()), MOST_PATIENCE * patienceMs)
      if (machineNow() - since > patienceMs + stoodMs) throw new WaitedTooLongError(`Waited ${patienceMs / 1000} s for ${what}`)
      await this.orBroken(delay(PAUSE_MS))
    }
  }

  /** Is told each fact, until what is returned is called. */
  listen(listener: (by: string, fact: Fact) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  say(text: string): void {
    this.log.line(text)
    if (!this.ended) this.#progress.say(text)
  }

  orBroken<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.broken])
  }

  fail(error: Error): void {
    this.#break(error)
  }

  /** Ends every process and every socket. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.ended = true
    clearInterval(this.#watch)
    this.#progress.stop()
    await Promise.all(this.#apps.map((app) => app.kill()))
    await Promise.all(this.#links.map((link) => link[Symbol.asyncDispose]()))
  }

  async #link(endpoint: string): Promise<FaultLink> {
    if (this.ended) throw new Error('The run has ended')
    const link = await FaultLink.to(endpoint, this.#random)
    this.#links.push(link)
    return link
  }

  readonly #lastSeen = new Map<string, number>()

  #start(name: string, file: string, producer?: number): App {
    if (this.ended) throw new Error('The run has ended')
    const onFact = (app: App, fact: Fact): void => {
      this.log.fact(name, fact)
      this.#lastSeen.set(name, fact.at)
      if (fact.fact === 'memory') this.#sample(name, fact)
      if (fact.fact === 'stood') app.stood.begin(fact.from)(fact.at)
      try {
        this.account.add(name, producer, fact)
      } catch (error) {
        this.#break(error as Error)
      }
      for (const listener of this.#listeners) listener(name, fact)
    }
    const app = new App(name, file, { onFact, onFailure: (error) => void (this.ended || this.#break(error)) })
    this.#apps.push(app)
    this.say(`${name} starts, pid ${app.pid}`)
    return app
  }

  #line(): string {
    const { acknowledged, delivered, failed, leases } = this.account
    const count = (value: number): string => value.toLocaleString('en-US')
    return (
      `acknowledged ${count(acknowledged)}  delivered ${count(delivered)}  failed ${count(failed)}  ` +
      `workers ${this.workers.length}  leases taken ${count(leases.tenures.length)}`
    )
  }

  #sample(name: string, fact: Extract<Fact, { fact: 'memory' }>): void {
    const { at, rssBytes, heapBytes, bufferedBytes = 0, collected = false } = fact
    const sample = { at, rssBytes, heapBytes, bufferedBytes, collected }
    const samples = this.memory.get(name)
    if (samples === undefined) this.memory.set(name, [sample])
    else samples.push(sample)
  }
}
