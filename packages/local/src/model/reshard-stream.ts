import type { StreamReference } from '@shardwise/core/kinesis-port'
import type { Account } from './account.js'
import { HASH_KEY, required, SHARD_ID, STREAM } from './field-rules.js'
import { inUse, invalidArgument, limitExceeded, notFound, validationFailed } from './kinesis-error.js'
import { type Operation, operation } from './operation.js'
import { planUniform, type ReshardStep } from './resharding.js'
import { resolveShardId, type Shard, uniformRanges } from './shard.js'
import type { Stream } from './stream.js'

interface SplitInput extends StreamReference {
  readonly ShardToSplit: string
  readonly NewStartingHashKey: string
}

interface MergeInput extends StreamReference {
  readonly ShardToMerge: string
  readonly AdjacentShardToMerge: string
}

interface UpdateShardCountInput extends StreamReference {
  readonly TargetShardCount: number
  readonly ScalingType: 'UNIFORM_SCALING'
}

const DAY_MS = 86_400_000
/** https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateShardCount.html */
const SCALINGS_PER_DAY = 10
const MAX_TARGET = 10_000

export const splitShard: Operation = operation<SplitInput>(
  { ...STREAM, ShardToSplit: required(SHARD_ID), NewStartingHashKey: required(HASH_KEY) },
  (account, input) => {
    const stream = provisionedStream(account, input)
    const shard = openShard(account, stream, input.ShardToSplit)
    const at = BigInt(input.NewStartingHashKey)
    const { start, end } = shard.range
    if (at <= start + 1n || at >= end) {
      throw invalidArgument(
        `NewStartingHashKey ${at} used in SplitShard() on shard ${shard.shardId} in stream ${stream.name} under account ` +
          `${account.accountId} is not both greater than one plus the shard's StartingHashKey ${start} and less than the shard's ` +
          `EndingHashKey ${end}.`,
      )
    }
    account.requireShards(1)
    begin(account, stream, [{ kind: 'split', at }])
    return {}
  },
)

/** The first shard must be the one with the lower hash keys. */
export const mergeShards: Operation = operation<MergeInput>(
  { ...STREAM, ShardToMerge: required(SHARD_ID), AdjacentShardToMerge: required(SHARD_ID) },
  (account, input) => {
    const stream = provisionedStream(account, input)
    const lower = openShard(account, stream, input.ShardToMerge)
    const upper = openShard(account, stream, input.AdjacentShardToMerge)
    if (lower.range.end + 1n !== upper.range.start) {
      throw invalidArgument(
        `Shards ${lower.shardId} and ${upper.shardId} in stream ${stream.name} under account ${account.accountId} are not an adjacent ` +
          'pair of shards eligible for merging',
      )
    }
    begin(account, stream, [{ kind: 'merge', at: upper.range.start }])
    return {}
  },
)

export const updateShardCount: Operation = operation<UpdateShardCountInput>(
  {
    ...STREAM,
    TargetShardCount: { type: 'integer', min: 1, required: true },
    ScalingType: { type: 'string', choices: ['UNIFORM_SCALING'], required: true },
  },
  (account, input) => {
    const stream = provisionedStream(account, input)
    const present = stream.openShards.length
    const target = input.TargetShardCount
    const counts = `Current open shard count: ${present} Target shard count: ${target}`
    if (target > present * 2) {
      throw limitExceeded(`UpdateShardCount cannot scale up over double your current open shard count. ${counts}`)
    }
    if (target < present / 2) {
      throw limitExceeded(`UpdateShardCount cannot scale down below half your current open shard count. ${counts}`)
    }
    if (target > MAX_TARGET)
      throw limitExceeded(`UpdateShardCount cannot scale a stream to more than ${MAX_TARGET} shards. ${counts}`)
    account.requireShards(Math.max(0, target - present))
    countScaling(account, stream)
    begin(account, stream, planUniform(stream.openShards, uniformRanges(target)))
    return { StreamName: stream.name, StreamARN: stream.arn, CurrentShardCount: present, TargetShardCount: target }
  },
)

function provisionedStream(account: Account, reference: StreamReference): Stream {
  const stream = account.activeStream(reference)
  if (stream.settings.mode === 'PROVISIONED') return stream
  throw validationFailed(`Request is invalid. Stream ${stream.name} under account ${account.accountId} is in On-Demand mode.`)
}

function openShard(account: Account, stream: Stream, given: string): Shard {
  const shardId = resolveShardId(given)
  const shard = shardId === undefined ? undefined : stream.shard(shardId, account.wallTime)
  if (shard === undefined) {
    throw notFound(`Could not find shard ${shardId ?? given} in stream ${stream.name} under account ${account.accountId}.`)
  }
  if (shard.isOpen) return shard
  throw inUse(
    `Shard ${shard.shardId} in stream ${stream.name} under account ${account.accountId} has already been merged or split, and thus is not ` +
      'eligible for merging or splitting.',
  )
}

function countScaling(account: Account, stream: Stream): void {
  if (!stream.quotas) return
  const recent = stream.scalings.filter((at) => account.now - at < DAY_MS)
  if (recent.length >= SCALINGS_PER_DAY) {
    throw limitExceeded(
      `UpdateShardCount cannot scale stream ${stream.name} under account ${account.accountId} more than ${SCALINGS_PER_DAY} times in a ` +
        'rolling 24-hour period.',
    )
  }
  stream.scalings.splice(0, stream.scalings.length, ...recent, account.now)
}

/** The steps are spread evenly over the time that the update takes, so that the shards in between live and take records. */
function begin(account: Account, stream: Stream, steps: readonly ReshardStep[]): void {
  const { update } = account.options.transitionMs
  const changes = steps.map((step, index) => {
    return { at: account.now + (update * (index + 1)) / steps.length, kind: 'reshard' as const, step }
  })
  if (changes.length > 0) account.beginUpdate(stream, changes)
  else account.updateSettings(stream, {})
}
