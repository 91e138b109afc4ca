import { type AttributeValue, DeleteItemCommand, GetItemCommand, ScanCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb'
import { type Clock, type Scheduled, sleep } from '@shardwise/core/clock'
import type { Random } from '@shardwise/core/random'
import type { JavaCheckpoint, JavaShard, JavaShardReader, JavaStream } from './java-shard.js'
import { createLease, INITIALIZATION_BACKOFF_MS, synchronizeShards } from './java-shard-sync.js'

export type Item = Record<string, AttributeValue>

/** DynamoDB, as the SDK reaches it. */
export interface JavaTables {
  send(command: object): Promise<object>
}

export interface JavaWorkerOptions {
  readonly tables: JavaTables
  readonly tableName: string
  readonly workerId: string
  readonly failoverTimeMs: number
  readonly clock: Clock
  readonly random: Random
  readonly stream: JavaStream
  /** parentShardPollIntervalMillis, leaseCleanupIntervalMillis. Default: a third of the failover time, and the failover time. */
  readonly parentPollMs?: number
  readonly cleanUpMs?: number
}

export interface JavaLease {
  readonly shardId: string
  readonly parents: readonly string[]
  counter: number
  renewedAt: number
  /** During a handoff of KCL 3.x. */
  nextOwner: string | undefined
  /** Its writes, one after the other: DynamoDBLeaseRenewer.java synchronises on the lease. */
  writing: Promise<unknown>
}

/** taskBackoffTimeMillis. */
const TASK_BACKOFF_MS = 500

/**
 * What both generations of Java's workers do with leases that they hold, to the letter where it touches the table (DynamoDBLeaseRenewer.java,
 * DynamoDBLeaseRefresher.java, ShutdownTask.java, LeaseCleanupManager.java). Each write has KCL's own update and condition.
 */
export abstract class JavaWorker {
  /** What would have thrown in Java. */
  readonly errors: string[] = []
  protected readonly options: JavaWorkerOptions
  protected readonly held: Map<string, JavaLease> = new Map()
  readonly #timers = new Set<Scheduled>()
  readonly #working = new Set<Promise<void>>()
  #running = false
  #draining = false

  constructor(options: JavaWorkerOptions) {
    this.options = options
  }

  get workerId(): string {
    return this.options.workerId
  }

  get heldShards(): readonly string[] {
    return [...this.held.keys()]
  }

  start(): void {
    this.#running = true
    if (this.options.stream.list === undefined) this.#begin()
    else void this.#initialize()
  }

  #begin(): void {
    this.begin()
    this.repeat(this.options.failoverTimeMs / 3 - 25, () => this.#renewAll())
  }

  /** Scheduler.java, initialize: repeated until the shards are synchronised. */
  async #initialize(): Promise<void> {
    const { clock, tables, tableName, stream } = this.options
    while (this.#running) {
      try {
        await synchronizeShards({ tables, tableName, list: stream.list! })
        if (this.#running) this.#begin()
        return
      } catch (error) {
        this.errors.push(`${this.workerId}: ${error}`)
        await sleep(clock, INITIALIZATION_BACKOFF_MS)
      }
    }
  }

  /**
   * GracefulShutdownCoordinator.java: each processor is asked, and checkpoints what it has processed; then the leases are dropped, in memory
   * alone (LeaseCoordinator.dropLease): the rows still name this worker.
   */
  async shutDown(): Promise<void> {
    this.#draining = true
    await Promise.all(this.#working)
    this.kill()
  }

  /** KCL leaves its leases and its rows. A kill and an orderly stop look the same in the table. */
  kill(): void {
    this.#running = false
    for (const timer of this.#timers) timer.cancel()
    this.held.clear()
  }

  get isRunning(): boolean {
    return this.#running
  }

  /** It is shutting down: neither takes nor discovers. */
  protected get isDraining(): boolean {
    return this.#draining
  }

  protected abstract begin(): void
  /** The renewal was refused; `found` is the row. True: keep the lease and send again. */
  protected abstract explainRefusal(lease: JavaLease, found: Item | undefined): boolean
  protected abstract readonly renewCondition: (lease: JavaLease) => string

  /** Every `periodMs` after the end of the one before, the first after `firstMs`. */
  protected repeat(periodMs: number, run: () => Promise<void>, firstMs: number = periodMs): void {
    const timer = this.options.clock.schedule(firstMs, () => {
      this.#timers.delete(timer)
      if (!this.#running) return
      void run()
        .catch((error: unknown) => this.errors.push(`${this.workerId}: ${error}`))
        .then(() => this.#running && this.repeat(periodMs, run))
    })
    this.#timers.add(timer)
  }

  protected async update(key: string, expression: string, condition: string, values: Item): Promise<Item | undefined> {
    try {
      const input = { TableName: this.options.tableName, Key: { leaseKey: { S: key } } }
      const answer = await this.options.tables.send(
        new UpdateItemCommand({
          ...input,
          UpdateExpression: expression,
          ConditionExpression: condition,
          ExpressionAttributeValues: values,
          ReturnValues: 'ALL_NEW',
        }),
      )
      return (answer as { readonly Attributes?: Item }).Attributes
    } catch (error) {
      if ((error as Error).name === 'ConditionalCheckFailedException') return undefined
      throw error
    }
  }

  protected async get(key: string): Promise<Item | undefined> {
    // KCL's own reads are eventually consistent unless it is told otherwise (`consistentReads`): what it takes it may begin at an older checkpoint
    // than the row has, and set that back, even from SHARD_END. Its peers can do nothing about that, and it would be all that is seen.
    const given = { TableName: this.options.tableName, Key: { leaseKey: { S: key } }, ConsistentRead: true }
    const command = new GetItemCommand(given)
    return ((await this.options.tables.send(command)) as { readonly Item?: Item }).Item
  }

  protected async scan(tableName: string = this.options.tableName): Promise<readonly Item[]> {
    const command = new ScanCommand({ TableName: tableName })
    return ((await this.options.tables.send(command)) as { readonly Items: readonly Item[] }).Items
  }

  protected hold(row: Item): void {
    if (this.#draining) return
    const lease: JavaLease = {
      shardId: row.leaseKey!.S!,
      parents: row.parentShardId?.SS ?? [],
      counter: Number(row.leaseCounter!.N),
      renewedAt: this.options.clock.now(),
      nextOwner: undefined,
      writing: Promise.resolve(),
    }
    this.held.set(lease.shardId, lease)
    const work = this.#work(lease).catch((error: unknown) => void this.errors.push(`${this.workerId}: ${error}`))
    this.#working.add(work)
    void work.then(() => {
      this.#working.delete(work)
      // It had expired for its owner. A renewal that was on its way then, and succeeds, does not bring it back: it would be kept and not worked on.
      if (!this.#draining && this.held.get(lease.shardId) === lease) this.held.delete(lease.shardId)
    })
  }

  /** The owner itself refuses to go on with a lease that has expired for it. */
  protected holds(lease: JavaLease): boolean {
    const { clock, failoverTimeMs } = this.options
    return this.#running && this.held.get(lease.shardId) === lease && clock.now() - lease.renewedAt <= failoverTimeMs
  }

  protected async inTurn<T>(lease: JavaLease, write: () => Promise<T>): Promise<T> {
    const turn = lease.writing.then(write)
    lease.writing = turn.catch(() => {})
    return turn
  }

  /** Each by itself: one that fails leaves the others alone. */
  async #renewAll(): Promise<void> {
    await Promise.all(
      [...this.held.values()].map(async (lease) => {
        if (!this.holds(lease)) this.held.delete(lease.shardId)
        else await this.inTurn(lease, () => this.#renew(lease)).catch((error) => this.errors.push(`${this.workerId}: ${error}`))
      }),
    )
  }

  async #renew(lease: JavaLease): Promise<void> {
    const { counter } = lease
    const values = { ':n': { N: `${counter}` }, ':n1': { N: `${counter + 1}` } }
    if ((await this.update(lease.shardId, 'SET leaseCounter = :n1', this.renewCondition(lease), values)) !== undefined) {
      lease.counter = counter + 1
      lease.renewedAt = this.options.clock.now()
      return
    }
    if (this.explainRefusal(lease, await this.get(lease.shardId))) await this.#renew(lease)
    else this.held.delete(lease.shardId)
  }

  /**
   * updateLease: the checkpoint, by the counter alone. False: it did not land as far as anybody knows, which the renewal finds out. The
   * processor hears of it by a ShutdownException, and keeps what it has.
   */
  protected checkpoint(lease: JavaLease, { checkpoint, sub }: JavaCheckpoint): Promise<boolean> {
    return this.inTurn(lease, async () => {
      const { counter } = lease
      const done = await this.update(
        lease.shardId,
        'SET leaseCounter = :n1, checkpoint = :c, checkpointSubSequenceNumber = :sub, ownerSwitchesSinceCheckpoint = :zero ' +
          'REMOVE pendingCheckpoint, pendingCheckpointSubSequenceNumber, pendingCheckpointState',
        'leaseCounter = :n',
        {
          ':n': { N: `${counter}` },
          ':n1': { N: `${counter + 1}` },
          ':c': { S: checkpoint },
          ':sub': { N: `${sub}` },
          ':zero': { N: '0' },
        },
      )
      if (done === undefined) return false
      lease.counter = counter + 1
      return true
    })
  }

  /** A task that fails is tried again while the lease is held (ShardConsumer.java). Undefined: it is not any more. */
  async #task<T>(lease: JavaLease, task: () => Promise<T>): Promise<T | undefined> {
    for (;;) {
      try {
        return await task()
      } catch (error) {
        this.errors.push(`${this.workerId}: ${error}`)
      }
      await sleep(this.options.clock, TASK_BACKOFF_MS)
      if (!this.holds(lease)) return undefined
    }
  }

  async #work(lease: JavaLease): Promise<void> {
    const { clock, failoverTimeMs, parentPollMs = failoverTimeMs / 3, stream } = this.options
    const { shardId } = lease
    // BlockOnParentShardTask.java: a parent without a row does not block.
    const isBlocked = async (): Promise<boolean> => {
      const parents = await Promise.all(lease.parents.map((parent) => this.get(parent)))
      return !parents.every((parent) => parent === undefined || parent.checkpoint?.S === 'SHARD_END')
    }
    while ((await this.#task(lease, isBlocked)) !== false) {
      if (!this.holds(lease) || this.#draining) return
      await sleep(clock, parentPollMs)
    }
    const row = await this.#task(lease, async () => {
      const found = await this.get(shardId)
      if (found === undefined) throw new Error(`KinesisClientLibIOException: no row ${shardId}`)
      return found
    })
    if (row === undefined || !this.holds(lease)) return
    const from = { checkpoint: row.checkpoint?.S ?? 'TRIM_HORIZON', sub: Number(row.checkpointSubSequenceNumber?.N ?? 0) }
    if (from.checkpoint === 'SHARD_END') return this.#cleanUp(lease)
    await this.#process(
      lease,
      stream.open(shardId, from, () => this.holds(lease)),
    )
  }

  async #process(lease: JavaLease, reader: JavaShardReader): Promise<void> {
    const { random } = this.options
    let open: JavaCheckpoint | undefined
    const record = async (): Promise<boolean> => {
      if (open !== undefined && (await this.checkpoint(lease, open))) open = undefined
      return open === undefined
    }
    while (this.holds(lease)) {
      if (lease.nextOwner !== undefined || this.#draining) {
        // shutdownRequested: checkpoint, then transfer.
        const isRecorded = await this.#task(lease, record)
        if (lease.nextOwner === undefined) return
        if (isRecorded !== true) continue
        await this.#task(lease, () => this.inTurn(lease, () => this.transfer(lease)))
        return
      }
      const step = await this.#task(lease, () => reader.next())
      if (!this.holds(lease) || step === undefined) return
      if (step.is === 'end') return this.#end(lease, step.children)
      open = step.upTo ?? open
      // An application that loses a checkpoint goes on: the next covers it.
      if (open !== undefined && random() < 0.3) await record().catch((error) => this.errors.push(`${this.workerId}: ${error}`))
    }
  }

  /** The end of a handoff, in KCL 3.x. */
  protected async transfer(_lease: JavaLease): Promise<void> {}

  /** ShutdownTask.java: children first, then the checkpoint. The owner keeps and renews the lease until it is cleaned up. */
  async #end(lease: JavaLease, children: readonly JavaShard[]): Promise<void> {
    const { clock, random } = this.options
    const create = (): Promise<boolean> => this.#createChildren(children)
    while ((await this.#task(lease, create)) !== true) {
      // BlockedOnParentShardException: tried again, and one time in thirty the lease is dropped for another worker to try.
      if (!this.holds(lease)) return
      if (random() < 1 / 30) {
        this.held.delete(lease.shardId)
        return
      }
      await sleep(clock, TASK_BACKOFF_MS)
    }
    const ends = async (): Promise<boolean> => {
      if (children.length > 0) await this.#nameChildren(lease, children)
      return this.checkpoint(lease, { checkpoint: 'SHARD_END', sub: 0 })
    }
    while (this.holds(lease)) {
      if ((await this.#task(lease, ends)) === true) return this.#cleanUp(lease)
      // Refused: perhaps it has landed before. The next renewal says whether the lease is ours still.
      await sleep(clock, TASK_BACKOFF_MS)
    }
  }

  /** createLeasesForChildShardsIfNotExist. False: of the two parents of a merge one has a lease and the other has none. */
  async #createChildren(children: readonly JavaShard[]): Promise<boolean> {
    const { tables, tableName } = this.options
    if (children.length === 1) {
      const [one, other] = await Promise.all(children[0]!.parents.map((parent) => this.get(parent)))
      if (children[0]!.parents.length > 1 && (one === undefined) !== (other === undefined)) return false
    }
    for (const child of children) {
      if ((await this.get(child.shardId)) === undefined) await createLease(tables, tableName, child)
    }
    return true
  }

  /** updateLeaseWithMetaInfo. */
  async #nameChildren(lease: JavaLease, children: readonly JavaShard[]): Promise<void> {
    const values = { ':children': { SS: children.map(({ shardId }) => shardId) } }
    await this.update(lease.shardId, 'SET childShardIds = :children', 'attribute_exists(leaseKey)', values)
  }

  /** LeaseCleanupManager.java: an unconditional delete, once every child has gone beyond its start and the parents' rows are gone. */
  async #cleanUp(lease: JavaLease): Promise<void> {
    const { clock, tables, tableName, failoverTimeMs, cleanUpMs = failoverTimeMs } = this.options
    const isDue = async (): Promise<boolean> => {
      const row = await this.get(lease.shardId)
      const children = row?.childShardIds?.SS ?? []
      const rows = await Promise.all(children.map((child) => this.get(child)))
      const parents = await Promise.all((row?.parentShardId?.SS ?? []).map((parent) => this.get(parent)))
      const haveBegun = rows.every((child) => !['TRIM_HORIZON', 'AT_TIMESTAMP', undefined].includes(child?.checkpoint?.S))
      return children.length > 0 && haveBegun && parents.every((parent) => parent === undefined)
    }
    while (this.holds(lease) && !this.#draining) {
      if ((await this.#task(lease, isDue)) === true && this.holds(lease)) {
        const command = new DeleteItemCommand({ TableName: tableName, Key: { leaseKey: { S: lease.shardId } } })
        await this.#task(lease, () => tables.send(command))
        this.held.delete(lease.shardId)
        return
      }
      await sleep(clock, cleanUpMs)
    }
  }
}

interface Seen {
  readonly row: Item
  readonly movedAt: number
}

/** A worker of KCL 2.x: takes leases itself (DynamoDBLeaseTaker.java). Knows neither `entityType` nor `checkpointOwner`. */
export class JavaTaker extends JavaWorker {
  #seen = new Map<string, Seen>()
  protected readonly renewCondition: () => string = () => 'leaseCounter = :n'

  protected begin(): void {
    const { failoverTimeMs, random } = this.options
    this.repeat((failoverTimeMs + 25) * 2, () => this.#take(), random() * failoverTimeMs)
  }

  protected explainRefusal(lease: JavaLease, found: Item | undefined): boolean {
    if (found?.leaseOwner?.S !== this.workerId || Number(found.leaseCounter?.N) !== lease.counter + 1) return false
    lease.counter++
    return true
  }

  async #take(): Promise<void> {
    if (this.isDraining) return
    const { clock, failoverTimeMs } = this.options
    const rows = await this.scan()
    const now = clock.now()
    const before = this.#seen
    this.#seen = new Map(
      rows.map((row) => {
        // oldLease.leaseCounter().equals(…): a row without one ends every run of the taker.
        if (row.leaseCounter === undefined) throw new Error(`NullPointerException: row ${row.leaseKey?.S} is no lease`)
        const known = before.get(row.leaseKey!.S!)
        const first = row.leaseOwner === undefined ? Number.NEGATIVE_INFINITY : now
        const movedAt = known === undefined ? first : known.row.leaseCounter!.N === row.leaseCounter.N ? known.movedAt : now
        return [row.leaseKey!.S!, { row, movedAt }]
      }),
    )
    const leases = [...this.#seen.values()]
    const isAvailable = ({ row, movedAt }: Seen): boolean => row.leaseOwner === undefined || now - movedAt > failoverTimeMs
    for (const { row } of this.#chosen(leases, leases.filter(isAvailable), now)) {
      const owner = row.leaseOwner?.S
      const isSwitch = owner !== undefined && owner !== this.workerId
      const switches = isSwitch ? ' ADD ownerSwitchesSinceCheckpoint :one' : ''
      const counter = Number(row.leaseCounter!.N)
      const taken = await this.update(
        row.leaseKey!.S!,
        `SET leaseOwner = :me, leaseCounter = :n1${switches}`,
        'leaseCounter = :n',
        {
          ...{ ':me': { S: this.workerId }, ':n': { N: `${counter}` }, ':n1': { N: `${counter + 1}` } },
          // DynamoDB refuses a value that no expression names.
          ...(isSwitch && { ':one': { N: '1' } }),
        },
      )
      if (taken !== undefined && !this.held.has(row.leaseKey!.S!)) this.hold(taken)
      if (!this.isRunning) return
    }
  }

  #chosen(leases: readonly Seen[], available: readonly Seen[], now: number): readonly Seen[] {
    const { failoverTimeMs, random } = this.options
    const counts = new Map<string, number>([[this.workerId, 0]])
    for (const each of leases) {
      const owner = each.row.leaseOwner?.S
      if (owner !== undefined && !available.includes(each)) counts.set(owner, (counts.get(owner) ?? 0) + 1)
    }
    const target = counts.size >= leases.length ? 1 : Math.ceil(leases.length / counts.size)
    const veryOld = leases.filter(({ movedAt }) => now - movedAt > 3 * failoverTimeMs)
    if (veryOld.length > 0) return veryOld
    const need = target - counts.get(this.workerId)!
    if (need <= 0) return []
    const mixed = [...available].sort(() => random() - 0.5)
    if (mixed.length > 0) return mixed.slice(0, need)
    const [most, load] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a))
    const steal = load >= target && (load > target || need > 1)
    const candidates = leases.filter(({ row }) => row.leaseOwner?.S === most)
    return steal && candidates.length > 0 ? [candidates[Math.floor(random() * candidates.length)]!] : []
  }
}
