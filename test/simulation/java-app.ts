import { sleep } from '@shardwise/core/clock'
import type { KinesisPort, ShardListing } from '@shardwise/core/kinesis-port'
import { listAllShards } from '@shardwise/core/shard-map'
import { type Conduct, usual } from './fleet-member.js'
import type { FleetSettings } from './fleet-settings.js'
import { JavaAssignedWorker, JavaTaker, type JavaWorkerOptions } from './java-models.js'
import { type JavaVersion, LEADER_LEASE_MS } from './java-peers.js'
import { SimulatedJavaReader } from './java-shard-reader.js'
import type { RecordLedger } from './record-ledger.js'
import type { SimulatedProcess } from './simulated-process.js'
import type { Copy } from './stream-log.js'

export interface JavaAppOptions {
  readonly process: SimulatedProcess
  readonly version: JavaVersion
  readonly kinesis: KinesisPort
  /** One attempt. */
  readonly dynamodb: { send(command: object): Promise<object> }
  readonly settings: FleetSettings
  readonly stream: string
  readonly table: string
  readonly ledger: RecordLedger
  readonly violated: (what: string) => void
  readonly trace: (line: string) => void
}

const SLOW_MS = 4_000
/** The SDK for Java: three attempts, and what they repeat. */
const ATTEMPTS = 3
const RETRY_MS = 100
/** Records: with less it would never come up with the load. */
const LEAST_READ = 50
/** leaseCleanupIntervalMillis is a minute; longer than any listing is old, and any call late. */
const CLEAN_UP_MS = 20_000

/** A process with a model of KCL's worker, whose record processor keeps the ledger. */
export class JavaApp {
  readonly process: SimulatedProcess
  readonly conduct: Conduct = usual()
  readonly workerId: string
  readonly #options: JavaAppOptions
  readonly #worker: JavaTaker | JavaAssignedWorker
  #stopping: Promise<void> | undefined
  #told = 0

  constructor(options: JavaAppOptions) {
    const { process, version, settings, table } = options
    this.#options = options
    this.process = process
    this.workerId = `${process.name}:java`
    const java: JavaWorkerOptions = {
      ...{ tables: { send: (command) => this.#send(command) }, tableName: table, workerId: this.workerId },
      ...{ failoverTimeMs: settings.consumer.failoverTimeMs, clock: process.clock, random: process.random },
      ...{ stream: { open: (...args) => this.#open(...args), list: () => this.#list() }, cleanUpMs: CLEAN_UP_MS },
    }
    this.#worker =
      version === '2.x'
        ? new JavaTaker(java)
        : new JavaAssignedWorker({ ...java, layout: version, leaderLeaseMs: LEADER_LEASE_MS })
  }

  start(): void {
    this.#worker.start()
  }

  get isStopping(): boolean {
    return this.#stopping !== undefined
  }

  /** The process ends when its processors have checkpointed. Its rows stay. */
  stop(_timeoutMs?: number): Promise<void> {
    this.#stopping ??= this.#worker
      .shutDown()
      .catch((error) => this.#options.trace(`${this.process.name}: ${error}`))
      .then(() => {
        this.#options.trace(`${this.process.name} has stopped`)
        this.process.kill()
      })
    return this.#stopping
  }

  /** Tells what would have thrown in Java for a row of ours. What the network does to it is its own affair. */
  judge(): void {
    const { errors } = this.#worker
    for (const error of errors.slice(this.#told)) {
      this.#options.trace(`${this.process.name} logs ${error}`)
      if (/NullPointerException|TypeError|RangeError|No such expression/.test(error)) this.#options.violated(error)
    }
    this.#told = errors.length
  }

  async #send(command: object): Promise<object> {
    const { dynamodb, process } = this.#options
    for (let attempt = 1; ; attempt++) {
      try {
        return await dynamodb.send(command)
      } catch (error) {
        const isFinal = /^(ConditionalCheckFailed|Validation|ResourceNotFound)/.test((error as Error).name)
        if (isFinal || attempt === ATTEMPTS) throw error
      }
      await sleep(process.clock, RETRY_MS * attempt)
    }
  }

  async #list(): Promise<Awaited<ReturnType<NonNullable<JavaWorkerOptions['stream']['list']>>>> {
    const { kinesis, stream } = this.#options
    const shards = await listAllShards(kinesis, { StreamName: stream })
    return shards.map((shard: ShardListing) => ({
      shardId: shard.ShardId!,
      parents: [shard.ParentShardId, shard.AdjacentParentShardId].filter((id) => id !== undefined && id !== null),
      range: { start: BigInt(shard.HashKeyRange!.StartingHashKey!), end: BigInt(shard.HashKeyRange!.EndingHashKey!) },
      isOpen: shard.SequenceNumberRange?.EndingSequenceNumber === undefined,
    }))
  }

  #open(shardId: string, from: { readonly checkpoint: string; readonly sub: number }, holds: () => boolean): SimulatedJavaReader {
    const { kinesis, process, stream, ledger, settings, trace } = this.#options
    const { idleTimeBetweenReadsMs: idleMs, maxRecordsPerRead } = settings.consumer
    trace(`${process.name} opens ${shardId} behind ${from.checkpoint}/${from.sub}`)
    return new SimulatedJavaReader({
      ...{
        kinesis,
        clock: process.clock,
        stream,
        shard: ledger.shard(ledger.stream(stream), shardId)!,
        from,
        idleMs,
        // It reads once in `idleMs`, where ours goes on until there is nothing left.
        maxRecords: Math.max(maxRecordsPerRead, LEAST_READ),
        holds,
      },
      process: (places) => this.#process(shardId, places),
      dropped: (places) => ledger.dropped(this.#find(shardId, places)),
    })
  }

  /** processRecords. No lease is asked for: KCL calls it for what it has fetched, and looks at the leases once a second. */
  async #process(shardId: string, places: readonly string[]): Promise<void> {
    const { process, ledger, trace } = this.#options
    const copies = this.#find(shardId, places)
    ledger.called(process.name, copies)
    trace(`${process.name} processes ${copies.map(({ put }) => put.id).join(' ')} of ${shardId}`)
    const takes = process.random() < this.conduct.slow ? process.random() * SLOW_MS : process.random() * 30
    await sleep(process.clock, takes)
    trace(`${process.name} has processed ${copies.map(({ put }) => put.id).join(' ')} of ${shardId}`)
    // Any of them may come again: a worker that stops or loses its lease leaves a checkpoint of before.
    for (const copy of copies) ledger.completed(copy, undefined)
  }

  #find(shardId: string, places: readonly string[]): Copy[] {
    const { ledger, process, stream } = this.#options
    return ledger.find(process.name, stream, shardId, places)
  }
}
