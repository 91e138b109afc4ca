import type { DeleteItemCommandInput, UpdateItemCommandInput } from '@aws-sdk/client-dynamodb'

/** Where worker rows live: KCL's table for them, or among the leases. */
export interface WorkerRowPlace {
  readonly tableName: string
  readonly key: 'wid' | 'leaseKey'
}

/** As KCL's workerMetricsReporterFreqInMillis. Its leader forgets a worker whose row is twice as old. */
export const WORKER_ROW_INTERVAL_MS = 30_000

/** WorkerMetricStats.java, Features: SINGLE_TABLE_MIGRATION. */
const SUPPORT_CODE = '1'

/**
 * Our row among KCL 3.x's workers (WorkerMetricStats.java): alive, with no utilisation, so that the leader balances us by throughput.
 * `swWorker` is ours: by it Shardwise workers know each other.
 */
export function workerRowUpdate(place: WorkerRowPlace, workerId: string, epochSeconds: number): UpdateItemCommandInput {
  const entityType = place.key === 'leaseKey'
  return {
    TableName: place.tableName,
    Key: { [place.key]: { S: workerId } },
    UpdateExpression: `SET #lut = :now, #slu = :now, #sup = :sup, #sts = :none, #opr = :none, #sw = :one${entityType ? ', #type = :type' : ''}`,
    ExpressionAttributeNames: {
      '#lut': 'lut',
      '#slu': 'slu',
      '#sup': 'sup',
      '#sts': 'sts',
      '#opr': 'opr',
      '#sw': 'swWorker',
      ...(entityType && { '#type': 'entityType' }),
    },
    ExpressionAttributeValues: {
      ':now': { N: `${epochSeconds}` },
      ':sup': { N: SUPPORT_CODE },
      ':none': { M: {} },
      ':one': { N: '1' },
      ...(entityType && { ':type': { S: 'WORKER_METRIC_STATS' } }),
    },
  }
}

/** On KCL's condition (deletion of stale rows): the row is the one that we wrote last. */
export function workerRowDelete(place: WorkerRowPlace, workerId: string, epochSeconds: number): DeleteItemCommandInput {
  return {
    TableName: place.tableName,
    Key: { [place.key]: { S: workerId } },
    ConditionExpression: 'attribute_exists(#key) AND #lut = :ours',
    ExpressionAttributeNames: { '#key': place.key, '#lut': 'lut' },
    ExpressionAttributeValues: { ':ours': { N: `${epochSeconds}` } },
  }
}
