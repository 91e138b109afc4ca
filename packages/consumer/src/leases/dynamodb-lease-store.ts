import {
  CreateTableCommand,
  type CreateTableCommandOutput,
  DescribeTableCommand,
  type DescribeTableCommandOutput,
  GetItemCommand,
  type GetItemCommandOutput,
  PutItemCommand,
  type PutItemCommandOutput,
  ScanCommand,
  type ScanCommandOutput,
  type TableDescription,
  UpdateItemCommand,
  type UpdateItemCommandOutput,
} from '@aws-sdk/client-dynamodb'
import { type Clock, sleep } from '@shardwise/core/clock'
import type { CallOptions } from '@shardwise/core/kinesis-port'
import type { Lease, NewLease } from './lease.js'
import type { LeaseProgress } from './lease-progress.js'
import { newRow, parseRow, type Row, updateExpressions } from './lease-row.js'
import type { LeaseListing, LeaseStore, LeaseWrite, MalformedLease } from './lease-store.js'
import { LeaseTableError } from './lease-table-error.js'
import {
  endChange,
  handOverChange,
  type LeaseChange,
  renewChange,
  requestHandoffChange,
  takeChange,
  withdrawHandoffChange,
} from './lease-writes.js'

/** The narrow port to DynamoDB (decision 22). One attempt per call: a hidden retry would meet its own first attempt. */
export interface DynamoDBPort {
  send(command: CreateTableCommand, options?: CallOptions): Promise<CreateTableCommandOutput>
  send(command: DescribeTableCommand, options?: CallOptions): Promise<DescribeTableCommandOutput>
  send(command: GetItemCommand, options?: CallOptions): Promise<GetItemCommandOutput>
  send(command: PutItemCommand, options?: CallOptions): Promise<PutItemCommandOutput>
  send(command: ScanCommand, options?: CallOptions): Promise<ScanCommandOutput>
  send(command: UpdateItemCommand, options?: CallOptions): Promise<UpdateItemCommandOutput>
}

/** AWS makes a table in seconds. Longer means that somebody should look. */
const TABLE_PATIENCE_MS = 180_000
const FIRST_LOOK_MS = 50
const LATER_LOOKS_MS = 1_000

/** Leases in a DynamoDB table with the KCL's schema. The table may be shared with other row types, which are left alone. */
export class DynamoDBLeaseStore implements LeaseStore {
  readonly #dynamodb: DynamoDBPort
  readonly #tableName: string
  readonly #streamName: string
  readonly #clock: Clock

  constructor(options: {
    readonly dynamodb: DynamoDBPort
    readonly tableName: string
    readonly streamName: string
    readonly clock: Clock
  }) {
    this.#dynamodb = options.dynamodb
    this.#tableName = options.tableName
    this.#streamName = options.streamName
    this.#clock = options.clock
  }

  /** A missing table is made, on demand (PAY_PER_REQUEST). An existing one is used as it is, if its key fits. */
  async open(options: CallOptions = {}): Promise<void> {
    const deadline = this.#clock.now() + TABLE_PATIENCE_MS
    let pause = FIRST_LOOK_MS
    for (;;) {
      const table = await this.#describe(options)
      if (table === undefined) await this.#createTable(options)
      else if (table.TableStatus === 'DELETING') {
        throw new LeaseTableError(this.#tableName, 'is being deleted. Wait until it is gone, or name another table')
      } else if (table.TableStatus !== 'CREATING') {
        this.#checkKey(table)
        return
      }
      if (this.#clock.now() > deadline) {
        throw new LeaseTableError(
          this.#tableName,
          `is still not ACTIVE after ${TABLE_PATIENCE_MS / 1000} s. Look at it in the DynamoDB console`,
        )
      }
      await sleep(this.#clock, pause, { signal: options.signal })
      pause = Math.min(pause * 2, LATER_LOOKS_MS)
    }
  }

  /**
   * Rejects with LeaseTableError when another stream's leases are among them: shards of different streams have the same names, and each
   * application would take over the other's and skip its own records.
   */
  async list(options: CallOptions & { readonly consistent?: boolean } = {}): Promise<LeaseListing> {
    const { consistent = false, signal } = options
    const leases: Lease[] = []
    const malformed: MalformedLease[] = []
    let from: Row | undefined
    do {
      const page: ScanCommandOutput = await this.#dynamodb.send(
        new ScanCommand({ TableName: this.#tableName, ConsistentRead: consistent, ...(from && { ExclusiveStartKey: from }) }),
        { signal },
      )
      for (const row of page.Items ?? []) {
        const parsed = parseRow(row, this.#streamName)
        if (parsed.kind === 'foreign') throw this.#foreign(parsed)
        if (parsed.kind === 'lease') leases.push(parsed.lease)
        else if (parsed.kind === 'malformed') malformed.push(parsed.malformed)
      }
      from = page.LastEvaluatedKey
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
      Item: newRow(lease, this.#streamName),
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

  take(lease: Lease, workerId: string, options: CallOptions = {}): Promise<LeaseWrite> {
    return this.#update(takeChange(lease, workerId), options)
  }

  renew(lease: Lease, workerId: string, progress: LeaseProgress, options: CallOptions = {}): Promise<LeaseWrite> {
    return this.#update(renewChange(lease, workerId, progress), options)
  }

  handOver(
    lease: Lease,
    workerId: string,
    last: LeaseProgress & { readonly to: string | undefined },
    options: CallOptions = {},
  ): Promise<LeaseWrite> {
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
      if (!isNamed(error, 'ConditionalCheckFailedException')) throw error
      // DynamoDB sends the row that failed the condition along; some local servers do not.
      const row = (error as { readonly Item?: Row }).Item ?? (await this.#get(change.leaseKey, options))
      const parsed = row && parseRow(row, this.#streamName)
      return { done: false, lease: parsed?.kind === 'lease' ? parsed.lease : undefined }
    }
  }

  #parse(row: Row): Lease {
    const parsed = parseRow(row, this.#streamName)
    if (parsed.kind === 'lease') return parsed.lease
    if (parsed.kind === 'foreign') throw this.#foreign(parsed)
    const reason = parsed.kind === 'malformed' ? parsed.malformed.reason : 'it is not a lease'
    throw new LeaseTableError(this.#tableName, `has a row that cannot be read: ${JSON.stringify(row.leaseKey?.S)}: ${reason}`)
  }

  #foreign({ leaseKey, of }: { readonly leaseKey: string; readonly of: string }): LeaseTableError {
    return new LeaseTableError(
      this.#tableName,
      `has the lease ${leaseKey} of ${of}, and cannot hold those of stream ${this.#streamName} too. Give each stream an \`applicationName\` or ` +
        '`leaseTable` of its own',
    )
  }

  async #describe(options: CallOptions): Promise<TableDescription | undefined> {
    try {
      return (await this.#dynamodb.send(new DescribeTableCommand({ TableName: this.#tableName }), options)).Table
    } catch (error) {
      if (isNamed(error, 'ResourceNotFoundException')) return undefined
      throw error
    }
  }

  async #createTable(options: CallOptions): Promise<void> {
    const command = new CreateTableCommand({
      TableName: this.#tableName,
      AttributeDefinitions: [{ AttributeName: 'leaseKey', AttributeType: 'S' }],
      KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
      BillingMode: 'PAY_PER_REQUEST',
    })
    try {
      await this.#dynamodb.send(command, options)
    } catch (error) {
      // Another worker was faster.
      if (!isNamed(error, 'ResourceInUseException')) throw error
    }
  }

  #checkKey({ KeySchema = [], AttributeDefinitions = [] }: TableDescription): void {
    const type = AttributeDefinitions.find((attribute) => attribute.AttributeName === 'leaseKey')?.AttributeType
    if (KeySchema.length === 1 && KeySchema[0]?.AttributeName === 'leaseKey' && type === 'S') return
    const found = KeySchema.map((key) => `${key.AttributeName} (${key.KeyType})`).join(', ')
    throw new LeaseTableError(
      this.#tableName,
      `must have the one partition key leaseKey of type S and no sort key, but its key is ${found}. Name another table for the leases`,
    )
  }
}

function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name
}
