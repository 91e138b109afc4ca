import {
  type AttributeValue,
  DeleteItemCommand,
  GetItemCommand,
  PutItemCommand,
  ScanCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb'
import { type Clock, type Scheduled, sleep } from '@shardwise/core/clock'
import type { Random } from '@shardwise/core/random'
import type { DynamoDBTables } from './dynamodb-tables.js'

export type Item = Record<string, AttributeValue>

export interface JavaWorkerOptions {
  readonly tables: DynamoDBTables
  readonly tableName: string
  readonly workerId: string
  readonly failoverTimeMs: number
  readonly clock: Clock
  readonly random: Random
  /** Number of records in a shard, undefined while it is open, and its children. */
  readonly shard: (shardId: string) => { readonly records: number | undefined; readonly children: readonly JavaShard[] }
  readonly deliver: (shardId: string, position: number, workerId: string) => void
}

export interface JavaShard {
  readonly shardId: string
  readonly parents: readonly string[]
}

export interface JavaLease {
  readonly shardId: string
  counter: number
  renewedAt: number
  /** During a handoff of KCL 3.x. */
  nextOwner: string | undefined
  checkpointOwner: string | undefined
}

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
  #running = false

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
    this.begin()
    this.repeat(this.options.failoverTimeMs / 3 - 25, () => this.#renewAll())
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
      const answer: { readonly Attributes?: Item } = await this.options.tables.send(
        new UpdateItemCommand({
          ...input,
          UpdateExpression: expression,
          ConditionExpression: condition,
          ExpressionAttributeValues: values,
        }),
      )
      return answer.Attributes
    } catch (error) {
      if ((error as Error).name === 'ConditionalCheckFailedException') return undefined
      throw error
    }
  }

  protected async get(key: string): Promise<Item | undefined> {
    const command = new GetItemCommand({ TableName: this.options.tableName, Key: { leaseKey: { S: key } } })
    return ((await this.options.tables.send(command)) as { readonly Item?: Item }).Item
  }

  protected async scan(tableName: string = this.options.tableName): Promise<readonly Item[]> {
    const command = new ScanCommand({ TableName: tableName })
    return ((await this.options.tables.send(command)) as { readonly Items: readonly Item[] }).Items
  }

  protected hold(row: Item): void {
    const shardId = row.leaseKey!.S!
    const lease: JavaLease = {
      shardId,
      counter: Number(row.leaseCounter!.N),
      renewedAt: this.options.clock.now(),
      nextOwner: undefined,
      checkpointOwner: undefined,
    }
    this.held.set(shardId, lease)
    void this.#work(lease).catch((error: unknown) => this.errors.push(`${this.workerId}: ${error}`))
  }

  /** The owner itself refuses to go on with a lease that has expired for it. */
  protected holds(lease: JavaLease): boolean {
    const { clock, failoverTimeMs } = this.options
    return this.#running && this.held.get(lease.shardId) === lease && clock.now() - lease.renewedAt <= failoverTimeMs
  }

  async #renewAll(): Promise<void> {
    for (const lease of [...this.held.values()]) {
      if (!this.holds(lease)) this.held.delete(lease.shardId)
      else await this.#renew(lease)
    }
  }

  async #renew(lease: JavaLease): Promise<void> {
    const { counter } = lease
    const values = { ':n': { N: `${counter}` }, ':n1': { N: `${counter + 1}` } }
    if ((await this.update(lease.shardId, 'SET leaseCounter = :n1', this.renewCondition(lease), values)) !== undefined) {
      lease.counter = counter + 1
      lease.renewedAt = this.options.clock.now()
      return
    }
    // A checkpoint of our own came between.
    if (lease.counter !== counter) return
    if (this.explainRefusal(lease, await this.get(lease.shardId))) await this.#renew(lease)
    else this.held.delete(lease.shardId)
  }

  /** updateLease: the checkpoint, by the counter alone. False: not ours any more. */
  protected async checkpoint(lease: JavaLease, checkpoint: string): Promise<boolean> {
    const { counter } = lease
    const done = await this.update(
      lease.shardId,
      'SET leaseCounter = :n1, checkpoint = :c, checkpointSubSequenceNumber = :zero, ownerSwitchesSinceCheckpoint = :zero',
      'leaseCounter = :n',
      { ':n': { N: `${counter}` }, ':n1': { N: `${counter + 1}` }, ':c': { S: checkpoint }, ':zero': { N: '0' } },
    )
    if (done === undefined) return false
    lease.counter = counter + 1
    return true
  }

  async #work(lease: JavaLease): Promise<void> {
    const { clock, random, deliver, shard } = this.options
    const { shardId } = lease
    // BlockOnParentShardTask.java: a parent without a row does not block.
    for (;;) {
      const row = await this.get(shardId)
      const parents = await Promise.all((row?.parentShardId?.SS ?? []).map((parent) => this.get(parent)))
      if (parents.every((parent) => parent === undefined || parent.checkpoint?.S === 'SHARD_END')) break
      await sleep(clock, this.options.failoverTimeMs / 3)
      if (!this.holds(lease)) return
    }
    const text = (await this.get(shardId))?.checkpoint?.S ?? 'TRIM_HORIZON'
    if (text === 'SHARD_END') return this.#cleanUp(lease)
    let position = /^\d+$/.test(text) ? Number(text) : 0
    while (this.holds(lease)) {
      await sleep(clock, 20 + random() * 200)
      if (!this.holds(lease)) return
      if (position === shard(shardId).records) return this.#end(lease)
      deliver(shardId, ++position, this.workerId)
      if (lease.nextOwner !== undefined) {
        // shutdownRequested: checkpoint, then transfer.
        if (await this.checkpoint(lease, `${position}`)) await this.transfer(lease)
        return
      }
      if (random() < 0.15) await this.checkpoint(lease, `${position}`)
    }
  }

  /** The end of a handoff, in KCL 3.x. */
  protected async transfer(_lease: JavaLease): Promise<void> {}

  /** ShutdownTask.java: children first, then the checkpoint. The owner keeps and renews the lease until it is cleaned up. */
  async #end(lease: JavaLease): Promise<void> {
    const { tables, tableName, shard } = this.options
    for (const child of shard(lease.shardId).children) {
      const parents = await Promise.all(child.parents.map((parent) => this.get(parent)))
      if (parents.includes(undefined)) continue
      const Item: Item = {
        leaseKey: { S: child.shardId },
        leaseCounter: { N: '0' },
        ownerSwitchesSinceCheckpoint: { N: '0' },
        checkpoint: { S: 'TRIM_HORIZON' },
        checkpointSubSequenceNumber: { N: '0' },
        parentShardId: { SS: [...child.parents] },
      }
      const put = new PutItemCommand({ TableName: tableName, Item, ConditionExpression: 'attribute_not_exists(leaseKey)' })
      await tables.send(put).catch((error: Error) => {
        if (error.name !== 'ConditionalCheckFailedException') throw error
      })
    }
    if (await this.checkpoint(lease, 'SHARD_END')) await this.#cleanUp(lease)
  }

  /** LeaseCleanupManager.java: an unconditional delete, once every child has gone beyond its start. */
  async #cleanUp(lease: JavaLease): Promise<void> {
    const { clock, tables, tableName, shard, failoverTimeMs } = this.options
    const { children } = shard(lease.shardId)
    while (this.holds(lease)) {
      const rows = await Promise.all(children.map((child) => this.get(child.shardId)))
      const begun = rows.every((row) => row !== undefined && row.checkpoint?.S !== 'TRIM_HORIZON')
      if (children.length > 0 && begun) {
        await tables.send(new DeleteItemCommand({ TableName: tableName, Key: { leaseKey: { S: lease.shardId } } }))
        this.held.delete(lease.shardId)
        return
      }
      await sleep(clock, failoverTimeMs)
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
      const switches = owner !== undefined && owner !== this.workerId ? ' ADD ownerSwitchesSinceCheckpoint :one' : ''
      const counter = Number(row.leaseCounter!.N)
      const taken = await this.update(
        row.leaseKey!.S!,
        `SET leaseOwner = :me, leaseCounter = :n1${switches}`,
        'leaseCounter = :n',
        { ':me': { S: this.workerId }, ':n': { N: `${counter}` }, ':n1': { N: `${counter + 1}` }, ':one': { N: '1' } },
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
