import {
  DeleteItemCommand,
  GetItemCommand,
  PutItemCommand,
  ScanCommand,
  type ScanCommandOutput,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb'
import type { Clock } from '@shardwise/core/clock'
import type { HashKeyRange } from '@shardwise/core/hash-key'
import type { CallOptions } from '@shardwise/core/kinesis-port'
import { classifyFailure } from '@shardwise/core/service-error'
import type { DynamoDBPort } from './dynamodb-port.js'
import type { Lease, NewLease } from './lease.js'
import { conditionExpression, type LeasedStream, newRow, parseRow, type Row, updateExpressions } from './lease-row.js'
import type {
  LeaseDeletion,
  LeaseHandOver,
  LeaseListing,
  LeaseRenewal,
  LeaseStore,
  LeaseWrite,
  ListOptions,
  MalformedLease,
} from './lease-store.js'
import { LeaseTable } from './lease-table.js'
import { LeaseTableError } from './lease-table-error.js'
import { checkLeaseTableOptions, type LeaseTableSettings } from './lease-table-options.js'
import {
  endChange,
  fillRangeChange,
  handOverChange,
  type LeaseChange,
  renewChange,
  requestHandoffChange,
  takeChange,
  untouchedCondition,
  withdrawHandoffChange,
} from './lease-writes.js'
import { nextPage } from './next-page.js'

/** Leases in a DynamoDB table with the KCL's schema. The table may be shared with other row types, which are left alone. */
export class DynamoDBLeaseStore implements LeaseStore {
  readonly #dynamodb: DynamoDBPort
  readonly #tableName: string
  readonly #streamName: string | undefined
  readonly #streamArn: () => string | undefined
  readonly #table: LeaseTable

  constructor(options: {
    readonly dynamodb: DynamoDBPort
    readonly tableName: string
    /** The one stream whose leases the table holds. Undefined: those of several, in KCL's multi-stream rows. */
    readonly streamName: string | undefined
    /** Its ARN, known when the table is opened. */
    readonly streamArn?: () => string | undefined
    /** Default: a missing table is made on demand. */
    readonly table?: LeaseTableSettings
    readonly clock: Clock
  }) {
    this.#dynamodb = options.dynamodb
    this.#tableName = options.tableName
    this.#streamName = options.streamName
    this.#streamArn = options.streamArn ?? (() => undefined)
    this.#table = new LeaseTable({ ...options, settings: options.table ?? checkLeaseTableOptions() })
  }

  open(options: CallOptions = {}): Promise<void> {
    return this.#table.open(options)
  }

  /**
   * Rejects with LeaseTableError when another stream's leases are among them: shards of different streams have the same names, and each
   * application would take over the other's and skip its own records.
   */
  async list({ consistent = false, signal, onPage, throttled }: ListOptions = {}): Promise<LeaseListing> {
    const leases: Lease[] = []
    const malformed: MalformedLease[] = []
    let from: Row | undefined
    do {
      const page = await this.#page(consistent, from, signal, throttled)
      onPage?.()
      for (const row of page.Items ?? []) {
        const parsed = parseRow(row, this.#stream)
        if (parsed.kind === 'foreign') throw this.#foreign(parsed)
        if (parsed.kind === 'lease') leases.push(parsed.lease)
        else if (parsed.kind === 'malformed') malformed.push(parsed.malformed)
      }
      from = nextPage(page.LastEvaluatedKey, from, `the scan of ${this.#tableName}`)
    } while (from !== undefined)
    return { leases, malformed }
  }

  async read(leaseKey: string, options: CallOptions = {}): Promise<Lease | undefined> {
    const row = await this.#get(leaseKey, options)
    return row && this.#parse(row)
  }

  async create(lease: NewLease, options: CallOptions = {}): Promise<boolean> {
    const input = {
      TableName: this.#tableName,
      Item: newRow(lease, this.#stream),
      ConditionExpression: 'attribute_not_exists(leaseKey)',
    }
    try {
      await this.#dynamodb.send(new PutItemCommand(input), options)
      return true
    } catch (error) {
      if (isNamed(error, 'ConditionalCheckFailedException')) return false
      throw error
    }
  }

  async replace(lease: Lease, by: NewLease, options: CallOptions = {}): Promise<LeaseWrite> {
    const Item = newRow(by, this.#stream, lease.leaseCounter + 1)
    const input = { TableName: this.#tableName, Item, ...conditionExpression(untouchedCondition(lease)) }
    const returns = { ReturnValuesOnConditionCheckFailure: 'ALL_OLD' } as const
    try {
      await this.#dynamodb.send(new PutItemCommand({ ...input, ...returns }), options)
      return { done: true, lease: this.#parse(Item) }
    } catch (error) {
      return { done: false, lease: await this.#found(error, lease.leaseKey, options) }
    }
  }

  take(lease: Lease, workerId: string, options: CallOptions = {}): Promise<LeaseWrite> {
    return this.#update(takeChange(lease, workerId), options)
  }

  renew(lease: Lease, workerId: string, progress: LeaseRenewal, options: CallOptions = {}): Promise<LeaseWrite> {
    return this.#update(renewChange(lease, workerId, progress), options)
  }

  handOver(lease: Lease, workerId: string, last: LeaseHandOver, options: CallOptions = {}): Promise<LeaseWrite> {
    return this.#update(handOverChange(lease, workerId, last), options)
  }

  end(lease: Lease, workerId: string, childShardIds: readonly string[], options: CallOptions = {}): Promise<LeaseWrite> {
    return this.#update(endChange(lease, workerId, childShardIds), options)
  }

  requestHandoff(lease: Lease, to: string, options: CallOptions = {}): Promise<LeaseWrite> {
    return this.#update(requestHandoffChange(lease, to), options)
  }

  withdrawHandoff(lease: Lease, to: string, options: CallOptions = {}): Promise<LeaseWrite> {
    return this.#update(withdrawHandoffChange(lease, to), options)
  }

  fillRange(lease: Lease, range: HashKeyRange, options: CallOptions = {}): Promise<LeaseWrite> {
    return this.#update(fillRangeChange(lease, range), options)
  }

  async delete(lease: Lease, options: CallOptions = {}): Promise<LeaseDeletion> {
    const { leaseKey } = lease
    const condition = conditionExpression(untouchedCondition(lease))
    const input = { TableName: this.#tableName, Key: { leaseKey: { S: leaseKey } }, ...condition }
    const returns = { ReturnValuesOnConditionCheckFailure: 'ALL_OLD' } as const
    try {
      await this.#dynamodb.send(new DeleteItemCommand({ ...input, ...returns }), options)
      return { done: true }
    } catch (error) {
      return { done: false, lease: await this.#found(error, leaseKey, options) }
    }
  }

  async #page(
    ConsistentRead: boolean,
    from: Row | undefined,
    signal: AbortSignal | undefined,
    throttled: ListOptions['throttled'],
  ): Promise<ScanCommandOutput> {
    const input = { TableName: this.#tableName, ConsistentRead, ...(from && { ExclusiveStartKey: from }) }
    for (let times = 1; ; times++) {
      try {
        return await this.#dynamodb.send(new ScanCommand(input), { signal })
      } catch (error) {
        if (throttled === undefined || classifyFailure(error).kind !== 'throttled') throw error
        await throttled(error, times)
      }
    }
  }

  async #get(leaseKey: string, options: CallOptions): Promise<Row | undefined> {
    const input = { TableName: this.#tableName, Key: { leaseKey: { S: leaseKey } }, ConsistentRead: true }
    return (await this.#dynamodb.send(new GetItemCommand(input), options)).Item
  }

  async #update(change: LeaseChange, options: CallOptions): Promise<LeaseWrite> {
    const input = { TableName: this.#tableName, Key: { leaseKey: { S: change.leaseKey } }, ...updateExpressions(change) }
    const returns = { ReturnValues: 'ALL_NEW', ReturnValuesOnConditionCheckFailure: 'ALL_OLD' } as const
    try {
      const { Attributes } = await this.#dynamodb.send(new UpdateItemCommand({ ...input, ...returns }), options)
      return { done: true, lease: this.#parse(Attributes ?? {}) }
    } catch (error) {
      return { done: false, lease: await this.#found(error, change.leaseKey, options) }
    }
  }

  /** The row that failed a condition. Throws what is another failure. */
  async #found(error: unknown, leaseKey: string, options: CallOptions): Promise<Lease | undefined> {
    if (!isNamed(error, 'ConditionalCheckFailedException')) throw error
    // DynamoDB sends the row that failed the condition along; some local servers do not.
    const row = (error as { readonly Item?: Row }).Item ?? (await this.#get(leaseKey, options))
    const parsed = row && parseRow(row, this.#stream)
    return parsed?.kind === 'lease' ? parsed.lease : undefined
  }

  #parse(row: Row): Lease {
    const parsed = parseRow(row, this.#stream)
    if (parsed.kind === 'lease') return parsed.lease
    if (parsed.kind === 'foreign') throw this.#foreign(parsed)
    const reason = parsed.kind === 'malformed' ? parsed.malformed.reason : 'it is not a lease'
    throw new LeaseTableError(this.#tableName, `has a row that cannot be read: ${JSON.stringify(row.leaseKey?.S)}: ${reason}`)
  }

  #foreign({ leaseKey, of }: { readonly leaseKey: string; readonly of: string }): LeaseTableError {
    return new LeaseTableError(
      this.#tableName,
      `has the lease ${leaseKey} of ${of}, and cannot hold those of ${this.#purpose} too. Give each an \`applicationName\` or \`leaseTable\` of ` +
        'its own',
    )
  }

  get #purpose(): string {
    const stream = this.#stream
    return stream === undefined ? 'an application that reads several streams' : `stream ${stream.arn ?? stream.name}`
  }

  get #stream(): LeasedStream | undefined {
    return this.#streamName === undefined ? undefined : { name: this.#streamName, arn: this.#streamArn() }
  }
}

function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name
}
