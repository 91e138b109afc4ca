import {
  DeleteItemCommand,
  type DeleteItemCommandOutput,
  GetItemCommand,
  type GetItemCommandOutput,
  QueryCommand,
  type QueryCommandOutput,
  ScanCommand,
  type ScanCommandOutput,
  UpdateItemCommand,
  type UpdateItemCommandOutput,
} from '@aws-sdk/client-dynamodb'
import type { CallOptions } from '@shardwise/core/kinesis-port'
import { type KclEvidence, type KclLayout, type KclWorker, parseLeader, parseWorker } from './kcl-evidence.js'
import { type WorkerRowPlace, workerRowDelete, workerRowUpdate } from './kcl-worker-row.js'
import type { Row } from './lease-row.js'
import { nextPage } from './next-page.js'

/** The narrow port to DynamoDB (decision 22), for KCL's rows. One attempt per call. */
export interface KclPort {
  send(command: DeleteItemCommand, options?: CallOptions): Promise<DeleteItemCommandOutput>
  send(command: GetItemCommand, options?: CallOptions): Promise<GetItemCommandOutput>
  send(command: QueryCommand, options?: CallOptions): Promise<QueryCommandOutput>
  send(command: ScanCommand, options?: CallOptions): Promise<ScanCommandOutput>
  send(command: UpdateItemCommand, options?: CallOptions): Promise<UpdateItemCommandOutput>
}

/** DynamoDBLeaseSerializer.java. */
export const OWNER_INDEX = 'LeaseOwnerToLeaseKeyIndex'

const LEADER = 'Leader'
const CLIENT_VERSION = 'Migration3.0'
const TABLE_MIGRATION = 'TableMigration3.5'

/** The rows of KCL 3.x beside the leases, wherever they are. Decides nothing. */
export class KclTables {
  readonly #dynamodb: KclPort
  readonly #leaseTable: string
  readonly #coordinatorTable: string
  readonly #workerTable: string

  /** KCL names its tables by the application (CoordinatorStateTableConfig.java, WorkerMetricsTableConfig.java). */
  constructor(options: { readonly dynamodb: KclPort; readonly leaseTable: string; readonly applicationName: string }) {
    this.#dynamodb = options.dynamodb
    this.#leaseTable = options.leaseTable
    this.#coordinatorTable = `${options.applicationName}-CoordinatorState`
    this.#workerTable = `${options.applicationName}-WorkerMetricStats`
  }

  /** Three reads. */
  async probe(options: CallOptions = {}): Promise<KclEvidence> {
    const migration = await this.#coordinatorRow(TABLE_MIGRATION, options)
    if (migration !== 'no-table' && migration?.tm?.S !== 'TABLE_MIGRATION_STATUS_COMPLETE') {
      const version = await this.#coordinatorRow(CLIENT_VERSION, options)
      const leader = await this.#coordinatorRow(LEADER, options)
      return evidence('three-tables', rowOf(version), rowOf(leader))
    }
    const version = await this.#get(this.#leaseTable, { leaseKey: { S: CLIENT_VERSION } }, options)
    const leader = await this.#get(this.#leaseTable, { leaseKey: { S: LEADER } }, options)
    const layout = version === undefined && leader === undefined ? 'leases-only' : 'single-table'
    return evidence(layout, version, leader)
  }

  async workers(layout: KclLayout, options: CallOptions = {}): Promise<readonly KclWorker[]> {
    const place = this.#place(layout)
    if (place === undefined) return []
    const { tableName, key } = place
    const filter =
      key === 'leaseKey'
        ? {
            FilterExpression: '#type = :type',
            ExpressionAttributeNames: { '#type': 'entityType' },
            ExpressionAttributeValues: { ':type': { S: 'WORKER_METRIC_STATS' } },
          }
        : {}
    const workers: KclWorker[] = []
    let from: Row | undefined
    do {
      const input = { TableName: tableName, ...filter, ...(from && { ExclusiveStartKey: from }) }
      const page: ScanCommandOutput = await this.#dynamodb.send(new ScanCommand(input), options)
      for (const row of page.Items ?? []) {
        const worker = parseWorker(row, key)
        if (worker !== undefined) workers.push(worker)
      }
      from = nextPage(page.LastEvaluatedKey, from, `the scan of ${tableName}`)
    } while (from !== undefined)
    return workers
  }

  /** False: that layout has no place for it. */
  async writeWorker(layout: KclLayout, workerId: string, epochSeconds: number, options: CallOptions = {}): Promise<boolean> {
    const place = this.#place(layout)
    if (place === undefined) return false
    await this.#dynamodb.send(new UpdateItemCommand(workerRowUpdate(place, workerId, epochSeconds)), options)
    return true
  }

  /** `epochSeconds`: as last written. */
  async deleteWorker(layout: KclLayout, workerId: string, epochSeconds: number, options: CallOptions = {}): Promise<void> {
    const place = this.#place(layout)
    if (place === undefined) return
    try {
      await this.#dynamodb.send(new DeleteItemCommand(workerRowDelete(place, workerId, epochSeconds)), options)
    } catch (error) {
      // Cleaned up by a leader, or not ours.
      if (!isNamed(error, 'ConditionalCheckFailedException')) throw error
    }
  }

  /** Keys of the leases whose (next) owner is `workerId`, as the index has them: a little late. Undefined: there is no such index. */
  async assignedKeys(workerId: string, options: CallOptions = {}): Promise<readonly string[] | undefined> {
    const keys: string[] = []
    let from: Row | undefined
    do {
      const command = new QueryCommand({
        TableName: this.#leaseTable,
        IndexName: OWNER_INDEX,
        KeyConditionExpression: '#owner = :owner',
        ExpressionAttributeNames: { '#owner': 'leaseOwner' },
        ExpressionAttributeValues: { ':owner': { S: workerId } },
        ...(from && { ExclusiveStartKey: from }),
      })
      let page: QueryCommandOutput
      try {
        page = await this.#dynamodb.send(command, options)
      } catch (error) {
        // "The table does not have the specified index", or it is still being made.
        if (isNamed(error, 'ValidationException') || isNamed(error, 'ResourceNotFoundException')) return undefined
        throw error
      }
      for (const row of page.Items ?? []) if (row.leaseKey?.S !== undefined) keys.push(row.leaseKey.S)
      from = nextPage(page.LastEvaluatedKey, from, `the query of ${OWNER_INDEX}`)
    } while (from !== undefined)
    return keys
  }

  #place(layout: KclLayout): WorkerRowPlace | undefined {
    if (layout === 'leases-only') return undefined
    return layout === 'three-tables'
      ? { tableName: this.#workerTable, key: 'wid' }
      : { tableName: this.#leaseTable, key: 'leaseKey' }
  }

  async #coordinatorRow(key: string, options: CallOptions): Promise<Row | undefined | 'no-table'> {
    try {
      return await this.#get(this.#coordinatorTable, { key: { S: key } }, options)
    } catch (error) {
      if (isNamed(error, 'ResourceNotFoundException')) return 'no-table'
      throw error
    }
  }

  async #get(tableName: string, key: Row, options: CallOptions): Promise<Row | undefined> {
    const input = { TableName: tableName, Key: key, ConsistentRead: true }
    return (await this.#dynamodb.send(new GetItemCommand(input), options)).Item
  }
}

function evidence(layout: KclLayout, version: Row | undefined, leader: Row | undefined): KclEvidence {
  return { layout, clientVersion: version?.cv?.S, leader: parseLeader(leader) }
}

function rowOf(row: Row | undefined | 'no-table'): Row | undefined {
  return row === 'no-table' ? undefined : row
}

function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name
}
