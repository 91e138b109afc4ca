import { setTimeout as delay } from 'node:timers/promises'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import {
  CreateStreamCommand,
  DescribeStreamSummaryCommand,
  KinesisClient,
  ListShardsCommand,
  MergeShardsCommand,
  type Shard,
  SplitShardCommand,
} from '@aws-sdk/client-kinesis'
import { type LocalServices, startLocal } from '@shardwise/local'
import { Producer } from '@shardwise/producer'
import type { DemoOptions } from './demo-options.js'
import { answerFromFile, readFlights } from './flights.js'
import { type LeaseRow, readLeases } from './lease-table.js'
import { Ledger } from './ledger.js'
import { LOCAL_CREDENTIALS, LOCAL_REGION } from './local-account.js'
import { Progress } from './progress.js'
import { ReadCalls } from './read-calls.js'
import { Screenplay } from './screenplay.js'
import { type DemoResult, verdictText } from './verdict.js'
import { WorkerProcess } from './worker-process.js'

const STREAM = 'flights'
const APPLICATION = 'mean-delay'
const SHARDS = 4
/** Short, so that the killed worker's shards move within seconds. */
const FAILOVER_TIME_MS = 3000
const LEASE_TABLE_READ_MS = 300
const PAUSE_MS = 20
/** Long after everything was acknowledged, what is not delivered is lost. */
const PATIENCE_MS = 60_000

/** Runs the whole story and proves its outcome. Whatever happens, it leaves no process, socket or timer behind. */
export async function runDemo(options: DemoOptions, interrupted: AbortSignal): Promise<DemoResult> {
  const started = performance.now()
  const run = new DemoRun(options, interrupted)
  try {
    return await run.play(started)
  } finally {
    await run.end()
  }
}

class DemoRun {
  readonly #options: DemoOptions
  readonly #ledger: Ledger
  readonly #progress: Progress
  readonly #workers: WorkerProcess[] = []
  /** Rejects when the run cannot go on: interrupted, or a worker or a record failed. */
  readonly #broken: Promise<never>
  #break: (reason: Error) => void = () => {}
  #local: LocalServices | undefined
  #reads: ReadCalls | undefined
  #kinesis: KinesisClient | undefined
  #dynamodb: DynamoDBClient | undefined
  #producer: Producer | undefined
  #leases: LeaseRow[] = []
  #ended = false
  #put = 0
  #acknowledged = 0
  #splits = 0
  #merges = 0
  #workersStopped = 0
  #workersKilled = 0

  constructor(options: DemoOptions, interrupted: AbortSignal) {
    this.#options = options
    this.#ledger = new Ledger(options.flights)
    this.#broken = new Promise((_, reject) => {
      this.#break = reject
      interrupted.addEventListener(
        'abort',
        () => {
          this.#say('stopping everything')
          reject(interrupted.reason)
        },
        { once: true },
      )
    })
    this.#broken.catch(() => {})
    this.#progress = new Progress(process.stdout, () => ({
      flights: options.flights,
      put: this.#put,
      acknowledged: this.#acknowledged,
      delivered: this.#ledger.delivered,
      duplicates: this.#ledger.duplicates,
      leases: this.#leases,
      lag: new Map(this.#workers.flatMap((worker) => [...worker.lag])),
      workers: this.#workers.filter((worker) => worker.state !== 'stopped').map((worker) => `${worker.name} (${worker.state})`),
    }))
  }

  async play(started: number): Promise<DemoResult> {
    await this.#setUp()
    await this.#orBroken(this.#produce())
    this.#say('all flights are acknowledged')
    await this.#orBroken(this.#untilDelivered())
    await this.#orBroken(Promise.all(this.#workers.map((worker) => worker.stop())))
    this.#progress.stop()
    this.#say('all workers have ended; computing the answer straight from the file')
    const answer = await answerFromFile(this.#options.flights)
    const stats = this.#producer!.stats()
    const result: DemoResult = {
      records: this.#options.flights,
      acknowledged: this.#acknowledged,
      delivered: this.#ledger.delivered,
      lost: this.#options.flights - this.#ledger.delivered,
      duplicates: this.#ledger.duplicates,
      duplicatesReplayed: this.#ledger.replayed,
      duplicatesResent: this.#ledger.resent,
      outOfOrder: this.#ledger.outOfOrder,
      answerMatches: this.#ledger.unknown === 0 && this.#ledger.answer.equals(answer),
      seconds: Math.round((performance.now() - started) / 100) / 10,
      kinesisRecords: stats.kinesisRecords,
      putRecordsRequests: stats.requests,
      workersStopped: this.#workersStopped,
      workersKilled: this.#workersKilled,
      splits: this.#splits,
      merges: this.#merges,
      ...this.#reads!.counts,
    }
    process.stdout.write(`${verdictText(result, this.#ledger, answer)}\n`)
    return result
  }

  /**
   * Ends everything outside of this process, and the service. A producer that was interrupted is left as it is: what it holds could only
   * wait for its time to live, and it ends with the process.
   */
  async end(): Promise<void> {
    this.#ended = true
    this.#progress.stop()
    await Promise.all(this.#workers.filter((worker) => worker.state !== 'stopped').map((worker) => worker.kill()))
    this.#kinesis?.destroy()
    this.#dynamodb?.destroy()
    await this.#local?.stop()
  }

  /** Not after the end: what was under way when the run broke off would tell of things that did not happen. */
  #say(text: string): void {
    if (!this.#ended) this.#progress.say(text)
  }

  async #setUp(): Promise<void> {
    const local = await startLocal({ transitionMs: { create: 200, update: 500, delete: 200 } })
    this.#local = local
    this.#reads = new ReadCalls(local.faults)
    const account = { region: LOCAL_REGION, credentials: LOCAL_CREDENTIALS }
    this.#kinesis = new KinesisClient({ ...account, endpoint: local.kinesisEndpoint })
    this.#dynamodb = new DynamoDBClient({ ...account, endpoint: local.dynamodbEndpoint })
    await this.#kinesis.send(new CreateStreamCommand({ StreamName: STREAM, ShardCount: SHARDS }))
    await this.#untilActive()
    this.#say(
      `Kinesis (${local.kinesisEndpoint}) and DynamoDB run on this machine; '${STREAM}' has ${SHARDS} shards of 1 MiB/s each`,
    )
    this.#producer = new Producer({
      ...account,
      stream: STREAM,
      endpoint: local.kinesisEndpoint,
      ordering: 'perShard',
      recordTtlMs: 120_000,
    })
    this.#startWorker('A')
    this.#startWorker('B')
    this.#progress.start()
    void this.#watchLeases()
    await this.#orBroken(this.#untilOwnedByTheLiving())
    const way = this.#options.fanOut ? 'read by enhanced fan-out and share' : 'share'
    this.#say(`workers A and B ${way} the shards (pids ${this.#workers.map((worker) => worker.pid).join(', ')})`)
  }

  async #produce(): Promise<void> {
    const producer = this.#producer!
    const play = new Screenplay(
      [
        { at: 0.15, title: 'splitting the busiest shard', play: () => this.#split() },
        { at: 0.3, title: 'stopping worker A gracefully, starting worker C in its place', play: () => this.#replaceStopped() },
        { at: 0.45, title: 'killing worker B (SIGKILL), starting worker D in its place', play: () => this.#replaceKilled() },
        { at: 0.65, title: 'merging two shards', play: () => this.#merge() },
      ],
      { total: this.#options.flights, onAct: (title) => this.#say(title) },
    )
    for await (const flight of readFlights(this.#options.flights)) {
      while (play.due(this.#put)) await play.advance()
      await producer.ready()
      if (this.#ended) return
      this.#put++
      producer.put({ partitionKey: flight.origin, data: Buffer.from(JSON.stringify(flight)) }).then(
        () => this.#acknowledged++,
        (error) => this.#break(error),
      )
    }
    await play.end()
    await producer.close()
  }

  async #untilDelivered(): Promise<void> {
    const giveUpAt = performance.now() + PATIENCE_MS
    while (this.#ledger.delivered < this.#options.flights && performance.now() < giveUpAt && !this.#ended) await delay(PAUSE_MS)
  }

  async #split(): Promise<void> {
    const load = (open: Shard): number => this.#ledger.deliveredByShard.get(open.ShardId!) ?? 0
    const [shard] = (await this.#openShards()).sort((a, b) => load(b) - load(a))
    if (shard === undefined) throw new Error(`Stream '${STREAM}' has no open shard`)
    const start = BigInt(shard.HashKeyRange!.StartingHashKey!)
    const end = BigInt(shard.HashKeyRange!.EndingHashKey!)
    const middle = (start + end + 1n) / 2n
    await this.#kinesis!.send(
      new SplitShardCommand({ StreamName: STREAM, ShardToSplit: shard.ShardId, NewStartingHashKey: String(middle) }),
    )
    await this.#untilActive()
    this.#splits++
    this.#say(`${shard.ShardId} is split in two`)
  }

  async #merge(): Promise<void> {
    const [left, right] = await this.#openShards()
    await this.#kinesis!.send(
      new MergeShardsCommand({ StreamName: STREAM, ShardToMerge: left!.ShardId, AdjacentShardToMerge: right!.ShardId }),
    )
    await this.#untilActive()
    this.#merges++
    this.#say(`${left!.ShardId} and ${right!.ShardId} are merged`)
  }

  async #replaceStopped(): Promise<void> {
    const worker = this.#worker('A')
    this.#startWorker('C')
    await worker.stop()
    this.#workersStopped++
    this.#say('worker A has handed over its shards and ended')
    await this.#untilOwnedByTheLiving()
  }

  async #replaceKilled(): Promise<void> {
    const worker = this.#worker('B')
    await worker.killInMidBatch()
    this.#workersKilled++
    this.#startWorker('D')
    const killedAt = performance.now()
    await this.#untilOwnedByTheLiving()
    this.#say(`worker B's shards were taken over ${((performance.now() - killedAt) / 1000).toFixed(1)} s after the kill`)
  }

  #startWorker(name: string): void {
    const setup = {
      name,
      stream: STREAM,
      applicationName: APPLICATION,
      kinesisEndpoint: this.#local!.kinesisEndpoint,
      dynamodbEndpoint: this.#local!.dynamodbEndpoint,
      failoverTimeMs: FAILOVER_TIME_MS,
      fanOut: this.#options.fanOut,
    }
    const onEvent = (text: string): void => this.#say(text)
    this.#workers.push(new WorkerProcess(setup, { ledger: this.#ledger, onEvent, onFailure: this.#break }))
  }

  #worker(name: string): WorkerProcess {
    return this.#workers.find((worker) => worker.name === name)!
  }

  async #untilOwnedByTheLiving(): Promise<void> {
    const living = this.#workers.filter((worker) => worker.state === 'running').map((worker) => worker.name)
    while (!this.#ended && !sharedBy(living, this.#leases)) await delay(PAUSE_MS)
  }

  async #untilActive(): Promise<void> {
    for (;;) {
      const { StreamDescriptionSummary } = await this.#kinesis!.send(new DescribeStreamSummaryCommand({ StreamName: STREAM }))
      if (StreamDescriptionSummary?.StreamStatus === 'ACTIVE') return
      await delay(PAUSE_MS)
    }
  }

  async #openShards(): Promise<Shard[]> {
    const { Shards = [] } = await this.#kinesis!.send(
      new ListShardsCommand({ StreamName: STREAM, ShardFilter: { Type: 'AT_LATEST' } }),
    )
    return Shards.sort((a, b) => (BigInt(a.HashKeyRange!.StartingHashKey!) < BigInt(b.HashKeyRange!.StartingHashKey!) ? -1 : 1))
  }

  async #watchLeases(): Promise<void> {
    while (!this.#ended) {
      this.#leases = await readLeases(this.#dynamodb!, APPLICATION).catch(() => this.#leases)
      await delay(LEASE_TABLE_READ_MS)
    }
  }

  #orBroken<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#broken])
  }
}

/** Whether each open shard has an owner among these workers, and each of them has a shard. */
function sharedBy(workers: readonly string[], leases: readonly LeaseRow[]): boolean {
  const owners = leases
    .filter((lease) => !lease.ended)
    .map((lease) => workers.find((name) => lease.owner?.startsWith(`${name}:`)))
  return owners.every((name) => name !== undefined) && workers.every((name) => owners.includes(name))
}
