import { DeleteItemCommand, GetItemCommand, PutItemCommand, QueryCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb'
import { type Item, type JavaLease, JavaWorker, type JavaWorkerOptions } from './java-worker-model.js'

export interface JavaAssignedWorkerOptions extends JavaWorkerOptions {
  /** `three-tables`: `<tableName>-CoordinatorState` and `<tableName>-WorkerMetricStats`. */
  readonly layout: 'three-tables' | 'single-table'
  /** dynamoDbLockBasedLeaderLeaseDurationInMillis; the heartbeat is a quarter of it. Default 120000. */
  readonly leaderLeaseMs?: number
}

const REPORT_MS = 30_000
const FRESH_SECONDS = 60
const HANDOFF_MS = 30_000

interface Observed {
  readonly counter: number
  readonly movedAt: number
  readonly askedAt: number | undefined
}

/**
 * A worker of KCL 3.x: reports itself, works on what the leader assigns, hands over what it asks for, and may be the leader
 * (DynamoDBLockBasedLeaderDecider.java; LeaseAssignmentManager.java, by count; LeaseGracefulShutdownHandler.java).
 */
export class JavaAssignedWorker extends JavaWorker {
  readonly #layout: JavaAssignedWorkerOptions['layout']
  #observed = new Map<string, Observed>()
  #lock: { readonly version: string; readonly seenAt: number } | undefined
  #version = 0
  #leads = false
  readonly #lockMs: number

  constructor(options: JavaAssignedWorkerOptions) {
    super(options)
    this.#layout = options.layout
    this.#lockMs = options.leaderLeaseMs ?? 120_000
  }

  get leads(): boolean {
    return this.#leads && this.isRunning
  }

  /** In the middle of a handoff the renewal is told of it by its refusal, and then goes on without the second clause. */
  protected readonly renewCondition: (lease: JavaLease) => string = ({ nextOwner }) =>
    nextOwner === undefined ? 'leaseCounter = :n AND attribute_not_exists(checkpointOwner)' : 'leaseCounter = :n'

  protected begin(): void {
    const { failoverTimeMs, random } = this.options
    this.repeat(REPORT_MS, () => this.#report(), random() * 1_000)
    this.repeat(this.#lockMs / 4, () => this.#lead(), random() * 1_000)
    this.repeat(failoverTimeMs, () => this.#discover(), random() * failoverTimeMs)
    this.repeat(failoverTimeMs * 2, () => this.#assign(), failoverTimeMs)
  }

  protected explainRefusal(lease: JavaLease, found: Item | undefined): boolean {
    const current = found?.checkpointOwner?.S
    const next = found?.leaseOwner?.S
    if (lease.nextOwner === undefined && current === this.workerId && next !== this.workerId) {
      lease.nextOwner = next
      return true
    }
    if ((current ?? next) !== this.workerId || Number(found?.leaseCounter?.N) !== lease.counter + 1) return false
    lease.counter++
    return true
  }

  /** assignLease by the owner itself. */
  protected override async transfer(lease: JavaLease): Promise<void> {
    const owners = { leaseOwner: { S: lease.nextOwner! }, checkpointOwner: { S: this.workerId } }
    await this.#assignTo({ leaseKey: { S: lease.shardId }, ...owners }, lease.nextOwner!)
    this.held.delete(lease.shardId)
  }

  get #place(): { readonly workers: string; readonly workerKey: string; readonly state: string; readonly stateKey: string } {
    const { tableName } = this.options
    return this.#layout === 'single-table'
      ? { workers: tableName, workerKey: 'leaseKey', state: tableName, stateKey: 'leaseKey' }
      : { workers: `${tableName}-WorkerMetricStats`, workerKey: 'wid', state: `${tableName}-CoordinatorState`, stateKey: 'key' }
  }

  get #seconds(): number {
    return Math.floor(this.options.clock.wallTime() / 1_000)
  }

  async #report(): Promise<void> {
    const { workers, workerKey } = this.#place
    const single = this.#layout === 'single-table'
    await this.options.tables.send(
      new UpdateItemCommand({
        TableName: workers,
        Key: { [workerKey]: { S: this.workerId } },
        UpdateExpression: `SET lut = :now, sts = :none, opr = :none${single ? ', entityType = :type' : ''}`,
        ExpressionAttributeValues: {
          ':now': { N: `${this.#seconds}` },
          ':none': { M: {} },
          ':type': { S: 'WORKER_METRIC_STATS' },
        },
      }),
    )
  }

  /** amazon-dynamodb-lock-client: acquire new, acquire expired by the observer's own clock, heartbeat. */
  async #lead(): Promise<void> {
    const { tables, clock } = this.options
    const { state, stateKey } = this.#place
    const Key: Item = { [stateKey]: { S: 'Leader' } }
    const row = ((await tables.send(new GetItemCommand({ TableName: state, Key }))) as { readonly Item?: Item }).Item
    const version = row?.recordVersionNumber?.S
    if (version !== this.#lock?.version) this.#lock = version === undefined ? undefined : { version, seenAt: clock.now() }
    const mine = row?.ownerName?.S === this.workerId
    const expired = this.#lock !== undefined && clock.now() - this.#lock.seenAt > this.#lockMs
    this.#leads = mine
    if (row !== undefined && !mine && !expired) return
    const Item: Item = {
      ...Key,
      ownerName: { S: this.workerId },
      leaseDuration: { S: `${this.#lockMs}` },
      recordVersionNumber: { S: `${this.workerId}-${++this.#version}` },
      ...(this.#layout === 'single-table' && { entityType: { S: 'LEADER' } }),
    }
    const ConditionExpression = row === undefined ? `attribute_not_exists(#k)` : 'recordVersionNumber = :seen'
    const seen = version === undefined ? {} : { ExpressionAttributeValues: { ':seen': { S: version } } }
    try {
      await tables.send(
        new PutItemCommand({
          TableName: state,
          Item,
          ConditionExpression,
          ExpressionAttributeNames: { '#k': stateKey },
          ...seen,
        }),
      )
      if (!mine) this.#observed.clear()
      this.#leads = true
    } catch (error) {
      if ((error as Error).name !== 'ConditionalCheckFailedException') throw error
      this.#leads = false
    }
  }

  async #discover(): Promise<void> {
    if (this.isDraining) return
    const { tables, tableName } = this.options
    const command = new QueryCommand({
      TableName: tableName,
      IndexName: 'LeaseOwnerToLeaseKeyIndex',
      KeyConditionExpression: 'leaseOwner = :me',
      ExpressionAttributeValues: { ':me': { S: this.workerId } },
    })
    for (const { leaseKey } of ((await tables.send(command)) as { readonly Items: readonly Item[] }).Items) {
      if (this.held.has(leaseKey!.S!)) continue
      const row = await this.get(leaseKey!.S!)
      if (row?.leaseOwner?.S === this.workerId && row.checkpointOwner === undefined) this.hold(row)
    }
  }

  async #assign(): Promise<void> {
    if (!this.#leads || this.isDraining) return
    const { clock, failoverTimeMs } = this.options
    const { workers, workerKey } = this.#place
    const fresh = (await this.scan(workers))
      .filter((row) => row.lut !== undefined && this.#seconds - Number(row.lut.N) <= FRESH_SECONDS)
      .map((row) => row[workerKey]!.S!)
    const leases = (await this.scan()).filter((row) => (row.entityType?.S ?? 'LEASE') === 'LEASE')
    const now = clock.now()
    const before = this.#observed
    this.#observed = new Map(
      leases.map((row) => {
        const counter = Number(row.leaseCounter!.N)
        const known = before.get(row.leaseKey!.S!)
        const owned = row.leaseOwner !== undefined
        const movedAt = known === undefined ? (owned ? now : 0) : known.counter === counter ? known.movedAt : now
        return [row.leaseKey!.S!, { counter, movedAt, askedAt: row.checkpointOwner && (known?.askedAt ?? now) }]
      }),
    )
    const load = new Map(fresh.map((worker) => [worker, 0]))
    const owner = (row: Item): string | undefined => (row.checkpointOwner ?? row.leaseOwner)?.S
    const free: Item[] = []
    for (const row of leases) {
      const { movedAt, askedAt } = this.#observed.get(row.leaseKey!.S!)!
      const overdue = askedAt !== undefined && now - askedAt > HANDOFF_MS + failoverTimeMs
      if (owner(row) === undefined || now - movedAt > failoverTimeMs || overdue) free.push(row)
      else if (load.has(row.leaseOwner!.S!)) load.set(row.leaseOwner!.S!, load.get(row.leaseOwner!.S!)! + 1)
    }
    const least = (): string | undefined => [...load].sort((a, b) => a[1] - b[1])[0]?.[0]
    for (const row of free) {
      const worker = least()
      if (worker === undefined) return
      load.set(worker, load.get(worker)! + 1)
      await this.#assignTo(row, worker)
    }
    const [poor] = [...load].sort((a, b) => a[1] - b[1])
    const [rich] = [...load].sort((a, b) => b[1] - a[1])
    if (poor === undefined || rich === undefined || rich[1] - poor[1] < 2) return
    const movable = leases.filter(
      (row) => row.leaseOwner?.S === rich[0] && row.checkpointOwner === undefined && row.checkpoint?.S !== 'SHARD_END',
    )
    const moved = movable.find((row) => !free.includes(row))
    if (moved === undefined) return
    // initiateGracefulLeaseHandoff
    await this.update(
      moved.leaseKey!.S!,
      'SET leaseOwner = :next, checkpointOwner = :owner',
      'leaseOwner = :owner AND attribute_not_exists(checkpointOwner)',
      { ':next': { S: poor[0] }, ':owner': { S: rich[0] } },
    )
  }

  /** assignLease, on the owners as read. */
  async #assignTo(row: Item, worker: string): Promise<void> {
    const clause = (name: string): string => (row[name] === undefined ? `attribute_not_exists(${name})` : `${name} = :${name}`)
    await this.update(
      row.leaseKey!.S!,
      'SET leaseOwner = :worker REMOVE checkpointOwner ADD leaseCounter :one',
      `attribute_exists(leaseKey) AND ${clause('leaseOwner')} AND ${clause('checkpointOwner')}`,
      {
        ':worker': { S: worker },
        ':one': { N: '1' },
        ...(row.leaseOwner && { ':leaseOwner': row.leaseOwner }),
        ...(row.checkpointOwner && { ':checkpointOwner': row.checkpointOwner }),
      },
    )
  }

  override async shutDown(): Promise<void> {
    await super.shutDown()
    await this.stop()
  }

  /** The end of an orderly stop: the lock is released, and everything else is left. */
  async stop(): Promise<void> {
    this.kill()
    if (!this.#leads) return
    const { state, stateKey } = this.#place
    await this.options.tables.send(new DeleteItemCommand({ TableName: state, Key: { [stateKey]: { S: 'Leader' } } }))
  }
}
