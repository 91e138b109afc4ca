import type { ListShardsInput, ShardFilter, StreamReference } from '@shardwise/core/kinesis-port'
import { MAX_LIST_SHARDS_RESULTS } from '@shardwise/core/service-limits'
import type { Account } from './account.js'
import { NEXT_TOKEN, PAGE_SIZE, SHARD_ID, STREAM, TIMESTAMP } from './field-rules.js'
import { inUse, invalidArgument } from './kinesis-error.js'
import { type Operation, operation } from './operation.js'
import { openPageToken, sealPageToken } from './page-token.js'
import { SHARD_FILTER_TYPES, type ShardSelection, selectShards } from './shard-filter.js'
import { noSuchStream } from './stream-lifecycle.js'

interface ListShardsRequest extends ListShardsInput {
  readonly ExclusiveStartShardId?: string
  readonly StreamCreationTimestamp?: Date
}

export const listShards: Operation = operation<ListShardsRequest>(
  {
    ...STREAM,
    NextToken: NEXT_TOKEN,
    ExclusiveStartShardId: SHARD_ID,
    MaxResults: PAGE_SIZE,
    StreamCreationTimestamp: TIMESTAMP,
    ShardFilter: {
      type: 'structure',
      fields: { Type: { type: 'string', choices: SHARD_FILTER_TYPES, required: true }, ShardId: SHARD_ID, Timestamp: TIMESTAMP },
    },
  },
  (account, input) => {
    const { stream, selection } =
      input.NextToken === undefined ? firstPage(account, input) : laterPage(account, input, input.NextToken)
    if (stream.state.status === 'CREATING') {
      throw inUse(`Stream ${stream.name} under account ${account.accountId} not ACTIVE, instead in state CREATING`)
    }
    const shards = selectShards(stream.listShards(account.wallTime), selection)
    const page = shards.slice(0, Math.min(input.MaxResults ?? MAX_LIST_SHARDS_RESULTS, MAX_LIST_SHARDS_RESULTS))
    const last = page.at(-1)
    if (last === undefined || page.length === shards.length) return { Shards: page.map((shard) => shard.listing()) }
    const context = [stream.name, stream.incarnation, selection.filter, selection.timestamp ?? '']
    return {
      Shards: page.map((shard) => shard.listing()),
      NextToken: sealPageToken(account, 'shards', { after: last.shardId, context }),
    }
  },
)

function firstPage(account: Account, input: ListShardsRequest) {
  if (input.StreamName === undefined && input.StreamARN === undefined) {
    throw invalidArgument('Either NextToken or StreamName should be provided.')
  }
  const stream = account.stream(input)
  if (input.StreamCreationTimestamp !== undefined && input.StreamCreationTimestamp.getTime() !== stream.createdAt) {
    throw noSuchStream(stream.name, account.accountId)
  }
  return { stream, selection: selectionOf(input.ShardFilter, input.ExclusiveStartShardId) }
}

/** The token says which stream, which filter and where; naming them again is refused, as on the service. */
function laterPage(account: Account, input: ListShardsRequest, token: string) {
  for (const field of ['StreamName', 'StreamCreationTimestamp', 'ExclusiveStartShardId', 'ShardFilter'] as const) {
    if (input[field] !== undefined) throw invalidArgument(`NextToken and ${field} cannot be provided together.`)
  }
  const { after, context } = openPageToken(account, 'shards', token)
  const [name, incarnation, filter, timestamp] = context as [string, number, ShardFilter['Type'], number | '']
  const reference: StreamReference = input.StreamARN === undefined ? {} : { StreamARN: input.StreamARN }
  const stream = account.stream({ ...reference, StreamName: name })
  if (stream.incarnation !== incarnation) throw noSuchStream(name, account.accountId)
  return { stream, selection: { filter, after, timestamp: timestamp === '' ? undefined : timestamp } satisfies ShardSelection }
}

function selectionOf(filter: ShardFilter | undefined, exclusiveStart: string | undefined): ShardSelection {
  const type = filter?.Type ?? 'FROM_TRIM_HORIZON'
  if ((type === 'AFTER_SHARD_ID') !== (filter?.ShardId !== undefined)) {
    throw invalidArgument(`ShardFilter ${type} ${type === 'AFTER_SHARD_ID' ? 'needs a' : 'must not have a'} ShardId.`)
  }
  const timed = type === 'AT_TIMESTAMP' || type === 'FROM_TIMESTAMP'
  if (timed !== (filter?.Timestamp !== undefined)) {
    throw invalidArgument(`ShardFilter ${type} ${timed ? 'needs a' : 'must not have a'} Timestamp.`)
  }
  return { filter: type, after: filter?.ShardId ?? exclusiveStart, timestamp: filter?.Timestamp?.getTime() }
}
