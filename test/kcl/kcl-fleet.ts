import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import {
  CreateStreamCommand,
  DescribeStreamSummaryCommand,
  KinesisClient,
  ListShardsCommand,
  MergeShardsCommand,
  type Shard,
  SplitShardCommand,
} from '@aws-sdk/client-kinesis'
import { Consumer } from '@shardwise/consumer'
import { type LocalServices, startLocal } from '@shardwise/local'
import { Producer } from '@shardwise/producer'
import { LOCAL_CREDENTIALS, LOCAL_REGION } from '../demo/local-account.js'
import { kclClasspath, requireTools } from './java-tools.js'
import { JavaWorker } from './java-worker.js'
import type { KclFleetOptions } from './kcl-fleet-options.js'
import { Ledger, type Sighting } from './ledger.js'
import { countsOf, type KclFleetResult, verdictText } from './verdict.js'

const STREAM = 'orders'
const APPLICATION = 'kcl-fleet'
const SHARDS = 4
/** Enough that each shard has some after the split, too. */
const KEYS = 64
const SHARDWISE = 'shardwise'
/** The default of both. */
const FAILOVER_TIME_MS = 10_000
const PUT_EVERY_MS = 500
const PAUSE_MS = 100
const PROGRESS_EVERY_MS = 10_000
/** A dead leader of KCL 3's is waited for two minutes, a machine may be slow: what takes longer than this does not come. */
const PATIENCE_MS = 300_000

/** Runs the whole story and counts. However it ends, no child and no folder outlives this process. */
export async function runKclFleet(options: KclFleetOptions, interrupted: AbortSignal): Promise<KclFleetResult> {
  const run = new KclFleetRun(options)
  interrupted.addEventListener('abort', () => run.break(interrupted.reason), { once: true })
  try {
    return await run.orBroken(run.play())
  } finally {
    await run.end()
  }
}

class KclFleetRun {
  readonly #options: KclFleetOptions
  readonly #started = performance.now()
  readonly #ledger = new Ledger(KEYS)
  readonly #children = new Set<ChildProcess>()
  readonly #folder = mkdtempSync(join(tmpdir(), 'shardwise-kcl-'))
  readonly #roles: string[] = []
  /** When each worker last saw a record of each shard: `worker shard`. */
  readonly #lastSeen = new Map<string, number>()
  readonly #broken: Promise<never>
  break: (reason: Error) => void = () => {}
  #local: LocalServices | undefined
  #kinesis: KinesisClient | undefined
  #classpath = ''
  #acknowledged = 0
  #putting = true
  #ended = false

  constructor(options: KclFleetOptions) {
    this.#options = options
    this.#broken = new Promise((_, reject) => {
      this.break = reject
    })
    this.#broken.catch(() => {})
    process.once('exit', () => this.#cleanUp())
  }

  orBroken<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#broken])
  }

  async play(): Promise<KclFleetResult> {
    const adopt = this.#adopt
    await requireTools(adopt)
    this.#say(`asking Maven for the KCL ${this.#options.kcl}; the first time it downloads`)
    this.#classpath = await kclClasspath(this.#options.kcl, this.#folder, adopt)
    await this.#setUp()
    void this.#progress()
    const putting = this.#put()

    const java1 = this.#startJava('java-1')
    await this.#until('java-1 sees records', () => this.#ledger.seenBy('java-1') > 0)
    const { consumer, running } = this.#startShardwise()
    await this.#until('both see records of shards of their own, and Shardwise knows of Java', async () => {
      const shards = await this.#openShards()
      const has = (worker: string): boolean => shards.some((shard) => this.#has(worker, shard))
      return has('java-1') && has(SHARDWISE) && this.#roles.some((role) => role !== 'alone')
    })

    const before = performance.now()
    await this.#reshard()
    await this.#until('each shard after the split and the merge is read', () => this.#eachRead(['java-1', SHARDWISE], before))

    await this.#until('java-1 reads a shard that it can leave behind', async () =>
      (await this.#openShards()).some((shard) => this.#has('java-1', shard)),
    )
    await java1.kill()
    this.#say(`java-1 (pid ${java1.pid}) is killed (SIGKILL)`)
    const killed = performance.now()
    await this.#until('Shardwise reads all shards', () => this.#eachRead([SHARDWISE], killed))

    const java2 = this.#startJava('java-2')
    // It need not see a record before Shardwise stops: KCL 2 counts leases at SHARD_END as its share, KCL 3 leaves balanced owners as they are.
    await this.#until('Shardwise knows of Java again', () => this.#roles.at(-1) !== 'alone')
    await consumer.stop()
    await running
    this.#say('Shardwise has stopped gracefully')
    const stopped = performance.now()
    await this.#until('java-2 reads all shards', () => this.#eachRead(['java-2'], stopped))

    this.#putting = false
    await putting
    this.#say('all records are acknowledged')
    // What is still missing after that is lost, and is the result.
    await this.#until('all records are seen', () => this.#ledger.missing === 0).catch(() => {})
    await java2.stop()
    this.#say('java-2 has ended')
    const result: KclFleetResult = {
      kcl: this.#options.kcl,
      ...countsOf(this.#ledger),
      acknowledged: this.#acknowledged,
      seenBy: Object.fromEntries(['java-1', SHARDWISE, 'java-2'].map((worker) => [worker, this.#ledger.seenBy(worker)])),
      roles: this.#roles,
      seconds: Math.round((performance.now() - this.#started) / 1000),
    }
    process.stdout.write(`${verdictText(result)}\n`)
    return result
  }

  async end(): Promise<void> {
    this.#ended = true
    this.#cleanUp()
    this.#kinesis?.destroy()
    await this.#local?.stop()
  }

  /** Synchronous, so that it can be done last thing. */
  #cleanUp(): void {
    for (const child of this.#children) child.kill('SIGKILL')
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #adopt = (child: ChildProcess): void => {
    if (this.#ended) child.kill('SIGKILL')
    this.#children.add(child)
    child.once('close', () => this.#children.delete(child))
  }

  async #setUp(): Promise<void> {
    const local = await startLocal({ transitionMs: { create: 200, update: 500, delete: 200 } })
    this.#local = local
    const account = { region: LOCAL_REGION, credentials: LOCAL_CREDENTIALS }
    this.#kinesis = new KinesisClient({ ...account, endpoint: local.kinesisEndpoint })
    await this.#kinesis.send(new CreateStreamCommand({ StreamName: STREAM, ShardCount: SHARDS }))
    await this.#untilActive()
    const dynamodb = new DynamoDBClient({ ...account, endpoint: local.dynamodbEndpoint })
    // KCL 3 adds this index to a table that lacks it, which the DynamoDB here cannot do: so the table begins with it.
    await dynamodb.send(
      new CreateTableCommand({
        TableName: APPLICATION,
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [
          { AttributeName: 'leaseKey', AttributeType: 'S' },
          { AttributeName: 'leaseOwner', AttributeType: 'S' },
        ],
        KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
        GlobalSecondaryIndexes: [
          {
            IndexName: 'LeaseOwnerToLeaseKeyIndex',
            KeySchema: [
              { AttributeName: 'leaseOwner', KeyType: 'HASH' },
              { AttributeName: 'leaseKey', KeyType: 'RANGE' },
            ],
            Projection: { ProjectionType: 'KEYS_ONLY' },
          },
        ],
      }),
    )
    dynamodb.destroy()
    this.#say(`Kinesis (${local.kinesisEndpoint}) and DynamoDB (${local.dynamodbEndpoint}) run in this process`)
  }

  async #put(): Promise<void> {
    const producer = new Producer({
      stream: STREAM,
      region: LOCAL_REGION,
      credentials: LOCAL_CREDENTIALS,
      endpoint: this.#local!.kinesisEndpoint,
      ordering: 'perShard',
      recordTtlMs: 120_000,
    })
    while (this.#putting && !this.#ended) {
      for (let i = 0; i < KEYS; i++) {
        const { row, key } = this.#ledger.nextRow()
        producer.put({ partitionKey: key, data: Buffer.from(String(row)) }).then(() => this.#acknowledged++, this.break)
      }
      await delay(PUT_EVERY_MS)
    }
    await producer.close()
  }

  #startJava(name: string): JavaWorker {
    const worker = new JavaWorker(
      { name, classpath: this.#classpath, ...this.#place(), stream: STREAM, applicationName: APPLICATION },
      { adopt: this.#adopt, records: (shardId, records) => this.#record(name, shardId, records), failure: this.break },
    )
    this.#say(`${name} has started (pid ${worker.pid})`)
    return worker
  }

  #startShardwise(): { readonly consumer: Consumer; readonly running: Promise<void> } {
    const { kinesisEndpoint, ...place } = this.#place()
    const consumer = new Consumer({
      ...place,
      endpoint: kinesisEndpoint,
      stream: STREAM,
      applicationName: APPLICATION,
      workerId: SHARDWISE,
      region: LOCAL_REGION,
      credentials: LOCAL_CREDENTIALS,
      initialPosition: 'trim-horizon',
    })
    consumer.events.on('kcl-role', ({ role, javaWorkers }) => {
      this.#roles.push(role)
      this.#say(`Shardwise is now ${role}; it sees ${javaWorkers.length === 0 ? 'no Java worker' : javaWorkers.join(', ')}`)
    })
    const running = consumer.run({
      eachBatch: async (records, { shardId }) => {
        const sightings = records.map(
          ({ data, sequenceNumber, subSequenceNumber }): Sighting => [
            Number(Buffer.from(data).toString()),
            `${sequenceNumber}/${subSequenceNumber}`,
          ],
        )
        this.#record(SHARDWISE, shardId, sightings)
      },
    })
    running.catch(this.break)
    this.#say('Shardwise has started')
    return { consumer, running }
  }

  #place(): { kinesisEndpoint: string; dynamodbEndpoint: string; failoverTimeMs: number } {
    const { kinesisEndpoint, dynamodbEndpoint } = this.#local!
    return { kinesisEndpoint, dynamodbEndpoint, failoverTimeMs: FAILOVER_TIME_MS }
  }

  #record(worker: string, shardId: string, records: readonly Sighting[]): void {
    this.#ledger.record(worker, records)
    this.#lastSeen.set(`${worker} ${shardId}`, performance.now())
  }

  /** Whether this worker was the last to see a record of the shard. */
  #has(worker: string, { ShardId }: Shard): boolean {
    const at = (name: string): number => this.#lastSeen.get(`${name} ${ShardId}`) ?? 0
    return at(worker) > 0 && ['java-1', SHARDWISE, 'java-2'].every((other) => at(other) <= at(worker))
  }

  async #eachRead(workers: readonly string[], since: number): Promise<boolean> {
    const shards = await this.#openShards()
    return shards.every((shard) => workers.some((worker) => (this.#lastSeen.get(`${worker} ${shard.ShardId}`) ?? 0) > since))
  }

  async #reshard(): Promise<void> {
    const [first, second, third] = await this.#openShards()
    const middle = (BigInt(first!.HashKeyRange!.StartingHashKey!) + BigInt(first!.HashKeyRange!.EndingHashKey!) + 1n) / 2n
    const split = { StreamName: STREAM, ShardToSplit: first!.ShardId, NewStartingHashKey: String(middle) }
    await this.#kinesis!.send(new SplitShardCommand(split))
    await this.#untilActive()
    const merge = { StreamName: STREAM, ShardToMerge: second!.ShardId, AdjacentShardToMerge: third!.ShardId }
    await this.#kinesis!.send(new MergeShardsCommand(merge))
    await this.#untilActive()
    this.#say(`${first!.ShardId} is split, ${second!.ShardId} and ${third!.ShardId} are merged`)
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

  async #until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const since = performance.now()
    while (!this.#ended && !(await holds())) {
      if (performance.now() - since > PATIENCE_MS) throw new Error(`Not within ${PATIENCE_MS / 1000} s: ${what}`)
      await delay(PAUSE_MS)
    }
    this.#say(`${what} (${((performance.now() - since) / 1000).toFixed(0)} s)`)
  }

  async #progress(): Promise<void> {
    for (;;) {
      await delay(PROGRESS_EVERY_MS, undefined, { ref: false })
      if (this.#ended) return
      const { put, seen, missing, seenTwice } = this.#ledger
      this.#say(`${put} put, ${this.#acknowledged} acknowledged, ${seen} seen, ${missing} on their way, ${seenTwice} seen again`)
    }
  }

  /** Not after the end: what was under way when the run broke off would tell of things that did not happen. */
  #say(text: string): void {
    if (!this.#ended) process.stdout.write(`${((performance.now() - this.#started) / 1000).toFixed(0).padStart(4)} s  ${text}\n`)
  }
}
