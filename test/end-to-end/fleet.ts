import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb'
import { KinesisClient, PutRecordsCommand } from '@aws-sdk/client-kinesis'
import type { ConsumerOptions } from '@shardwise/consumer'
import { CREDENTIALS, REGION, StreamHarness } from './consumer-harness.js'
import { FleetLog } from './fleet-log.js'
import type { FromFleetWorker, ToFleetWorker } from './fleet-worker.js'
import { NetworkLink } from './network-link.js'

/** Enough to have some in each of sixteen shards. */
export const KEYS: readonly string[] = Array.from({ length: 48 }, (_, i) => `key-${i}`)
/** Of the load, at a time: each has one record of every key. */
const ROUNDS_AHEAD = 6

/** One worker process, which reaches DynamoDB by a link of its own. */
export class FleetWorker {
  readonly name: string
  readonly link: NetworkLink
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  #expected = false
  readonly #withheld: number[] = []
  /** While set, calls of the handler are not confirmed. */
  withholds = false

  constructor(name: string, link: NetworkLink, log: FleetLog, options: ConsumerOptions, suspends: boolean) {
    this.name = name
    this.link = link
    this.#child = fork(fileURLToPath(new URL('./fleet-worker.ts', import.meta.url)), {
      execArgv: ['--import', 'tsx', '-C', 'shardwise-source'],
      env: { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
    })
    this.#exited = once(this.#child, 'exit').then(() => log.left(name, !this.#expected))
    this.#child.on('message', (message: FromFleetWorker) => {
      log.add(name, message)
      if (message.type !== 'called') return
      if (this.withholds) this.#withheld.push(message.call)
      else this.#send({ type: 'confirm', call: message.call })
    })
    const { region: _, credentials: __, clock: ___, ...rest } = options
    this.#send({ type: 'run', suspends, options: { ...rest, workerId: name, dynamodbEndpoint: link.endpoint } })
  }

  jumpWallClock(byMs: number): void {
    this.#send({ type: 'jump-wall-clock', byMs })
  }

  /** Confirms what was withheld, and what comes. */
  confirm(): void {
    this.withholds = false
    for (const call of this.#withheld.splice(0)) this.#send({ type: 'confirm', call })
  }

  /** In order, as at SIGTERM. */
  async stop(): Promise<void> {
    this.#expected = true
    this.#send({ type: 'stop' })
    await this.#exited
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal)
  }

  /** SIGKILL: no goodbye. */
  async kill(): Promise<void> {
    this.#expected = true
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  #send(message: ToFleetWorker): void {
    if (this.#child.connected) this.#child.send(message, () => {})
  }
}

export interface LeaseRow {
  readonly owner: string | undefined
  /** Undefined: none yet, or the end. */
  readonly sequenceNumber: string | undefined
  readonly ended: boolean
}

/** Worker processes on a stream with real HTTP between them and the services, the records put to it, and what became of them. */
export class Fleet implements AsyncDisposable {
  readonly harness: StreamHarness
  readonly log: FleetLog = new FleetLog()
  readonly #options: Partial<ConsumerOptions>
  readonly #kinesis: KinesisClient
  readonly #workers: FleetWorker[] = []
  #rounds = 0
  #loading: { readonly stop: AbortController; readonly done: Promise<void> } | undefined

  private constructor(harness: StreamHarness, options: Partial<ConsumerOptions>) {
    this.harness = harness
    this.#options = options
    this.#kinesis = new KinesisClient({ endpoint: harness.local.kinesisEndpoint, region: REGION, credentials: CREDENTIALS })
  }

  /** `failoverTimeMs` is 10000 unless given: where nobody dies a busy machine must not make it look so. */
  static async start(shards: number, options: Partial<ConsumerOptions> = {}): Promise<Fleet> {
    return new Fleet(await StreamHarness.start(shards), { failoverTimeMs: 10_000, ...options })
  }

  /** `endpoint`: by which it reaches Kinesis. */
  async join(
    name: string,
    { suspends = false, endpoint }: { readonly suspends?: boolean; readonly endpoint?: string } = {},
  ): Promise<FleetWorker> {
    const link = await NetworkLink.to(this.harness.local.dynamodbEndpoint)
    const options = this.harness.options({ ...this.#options, ...(endpoint !== undefined && { endpoint }) })
    const worker = new FleetWorker(name, link, this.log, options, suspends)
    this.#workers.push(worker)
    return worker
  }

  /** Rounds put so far. */
  get rounds(): number {
    return this.#rounds
  }

  /** One more record of each key. Those that the service refuses go again first, so each key's records keep their order. */
  async put(): Promise<void> {
    const n = this.#rounds++
    let left = KEYS.map((key) => ({ PartitionKey: key, Data: new TextEncoder().encode(`${key}:${n}`) }))
    while (left.length > 0) {
      const { Records = [] } = await this.#kinesis.send(new PutRecordsCommand({ StreamName: this.harness.stream, Records: left }))
      left = left.filter((_, i) => Records[i]?.ErrorCode !== undefined)
    }
  }

  /** Puts rounds all the time, a few ahead of what has been delivered, until `quiet`. */
  load(): void {
    const stop = new AbortController()
    const run = async (): Promise<void> => {
      while (!stop.signal.aborted) {
        await this.put()
        const enough = (this.#rounds - ROUNDS_AHEAD) * KEYS.length
        const goesOn = (): boolean => stop.signal.aborted || this.log.delivered >= enough
        await this.log.until('the load to go on', goesOn, { patienceMs: Number.POSITIVE_INFINITY })
      }
    }
    const done = run()
    done.catch(() => {})
    this.#loading = { stop, done }
  }

  /** Ends the load, and resolves when everything that was put has been delivered. */
  async quiet(): Promise<void> {
    const loading = this.#loading
    loading?.stop.abort()
    this.log.look()
    await loading?.done
    await this.delivered(this.#rounds)
  }

  /** So many rounds have been delivered, from the first one on. */
  async delivered(rounds: number): Promise<void> {
    await this.log.until(`${rounds} rounds`, () => this.log.delivered >= rounds * KEYS.length)
  }

  /** Each of these reads as many shards as the others, within one, and all together `shards`. */
  async shared(shards: number, ...names: readonly string[]): Promise<void> {
    await this.log.until(`${names.join(', ')} to share ${shards} shards`, () => {
      const counts = names.map((name) => this.log.held(name).length)
      return counts.reduce((sum, count) => sum + count, 0) === shards && Math.max(...counts) - Math.min(...counts) <= 1
    })
  }

  /** As the table has them now. */
  async leases(): Promise<Map<string, LeaseRow>> {
    const dynamodb = new DynamoDBClient({
      endpoint: this.harness.local.dynamodbEndpoint,
      region: REGION,
      credentials: CREDENTIALS,
    })
    const { Items = [] } = await dynamodb.send(new ScanCommand({ TableName: 'delays', ConsistentRead: true }))
    dynamodb.destroy()
    return new Map(
      Items.map(({ leaseKey, leaseOwner, checkpoint }) => {
        const at = checkpoint?.S ?? ''
        const sequenceNumber = /^\d+$/.test(at) ? at : undefined
        return [leaseKey!.S!, { owner: leaseOwner?.S?.split(':')[0], sequenceNumber, ended: at === 'SHARD_END' }]
      }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#loading?.stop.abort()
    await Promise.all(this.#workers.map((worker) => worker.kill()))
    for (const { link } of this.#workers) await link[Symbol.asyncDispose]()
    this.#kinesis.destroy()
    await this.harness[Symbol.asyncDispose]()
  }
}
