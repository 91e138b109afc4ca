import type { TableDescription } from '@aws-sdk/client-dynamodb'

/** What a call to the table needed more of. */
export type CapacityKind = 'read' | 'write' | 'control'

/** How a table is paid for, as its description tells. Services that resemble DynamoDB may not tell. */
export type TableCapacity =
  | { readonly mode: 'on-demand' }
  | { readonly mode: 'provisioned'; readonly read: number; readonly write: number }
  | { readonly mode: 'unknown' }

const READS: ReadonlySet<string> = new Set(['Scan', 'GetItem', 'Query', 'BatchGetItem'])
const WRITES: ReadonlySet<string> = new Set(['UpdateItem', 'PutItem', 'DeleteItem', 'BatchWriteItem', 'TransactWriteItems'])

export function capacityKind(operation: string): CapacityKind {
  return READS.has(operation) ? 'read' : WRITES.has(operation) ? 'write' : 'control'
}

/** BillingModeSummary is absent from tables that were never on demand (API_TableDescription). */
export function capacityOf(table: TableDescription): TableCapacity {
  if (table.BillingModeSummary?.BillingMode === 'PAY_PER_REQUEST') return { mode: 'on-demand' }
  const { ReadCapacityUnits: read = 0, WriteCapacityUnits: write = 0 } = table.ProvisionedThroughput ?? {}
  return read > 0 && write > 0 ? { mode: 'provisioned', read, write } : { mode: 'unknown' }
}

/**
 * What to raise, for a person. `reasons` are the service's own: resource, Read or Write, limit, in one word
 * (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ThrottlingReason.html). Without them the table's capacity decides.
 */
export function throttlingAdvice(
  table: string,
  operation: string,
  reasons: readonly string[],
  capacity: TableCapacity = { mode: 'unknown' },
): string {
  const kind = capacityKind(operation)
  if (kind === 'control') {
    return `AWS limits how often an account makes and describes tables: ${operation} is repeated; start fewer workers at a time`
  }
  return `${raise(table, kind, limitOf(reasons), capacity)}. ${LESS[kind]}`
}

function raise(
  table: string,
  kind: 'read' | 'write',
  limit: (typeof LIMITS)[number] | undefined,
  capacity: TableCapacity,
): string {
  if (limit === 'MaxOnDemandThroughputExceeded') {
    return `Raise the maximum ${kind} throughput that is set for the on-demand table ${table} (OnDemandThroughput), or take it away`
  }
  if (limit === 'AccountLimitExceeded') {
    return `Ask AWS for a higher quota of ${kind} throughput per table (Service Quotas, DynamoDB): ${table} has reached it`
  }
  if (limit === 'KeyRangeThroughputExceeded') {
    return `One partition of table ${table} is too busy; DynamoDB splits it when that lasts. Nothing else should use this table`
  }
  if (limit === 'ProvisionedThroughputExceeded' || capacity.mode === 'provisioned') {
    const now = capacity.mode === 'provisioned' ? ` (now ${capacity[kind]})` : ''
    return `Raise the provisioned ${kind} capacity units of table ${table}${now}, or change it to on-demand`
  }
  if (capacity.mode === 'on-demand') {
    const grows = `The on-demand table ${table} takes twice its former peak at once, and more after some minutes`
    return `${grows}: if this lasts raise its maximum ${kind} throughput, where one is set, or the account's quota per table`
  }
  return `Raise the ${kind} capacity of table ${table}, or change it to on-demand`
}

const LESS = {
  read: 'Each worker reads the whole table again and again: fewer workers, or a table for each application, need less',
  write:
    'Each lease is written three times in `failoverTimeMs`, more often with a short `checkpointIntervalMs`: longer ones need less',
} as const

const LIMITS = [
  'MaxOnDemandThroughputExceeded',
  'AccountLimitExceeded',
  'KeyRangeThroughputExceeded',
  'ProvisionedThroughputExceeded',
] as const

function limitOf(reasons: readonly string[]): (typeof LIMITS)[number] | undefined {
  return LIMITS.find((limit) => reasons.some((reason) => reason.endsWith(limit)))
}
