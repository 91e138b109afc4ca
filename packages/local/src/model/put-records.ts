import { hashKeyWords, MAX_HASH_KEY, toWords } from '@shardwise/core/hash-key'
import type { PutRecordsResult, StreamReference } from '@shardwise/core/kinesis-port'
import { MAX_PUT_REQUEST_BYTES, MAX_RECORDS_PER_PUT } from '@shardwise/core/service-limits'
import type { Account } from './account.js'
import { refuseDryRun } from './dry-run.js'
import { DATA, HASH_KEY, PARTITION_KEY, required, SEQUENCE_NUMBER, STREAM } from './field-rules.js'
import { constraintsFailed, type Fields, missing } from './input-validation.js'
import { invalidArgument, throughputExceeded } from './kinesis-error.js'
import { type Operation, operation } from './operation.js'
import { parseSequenceNumber } from './sequence-number.js'
import type { Shard, StoredRecord } from './shard.js'
import type { Stream } from './stream.js'
import { requireWritable } from './stream-lifecycle.js'

interface Entry {
  readonly Data: Uint8Array
  /** Required unless the stream's distribution is service-managed. */
  readonly PartitionKey?: string
  readonly ExplicitHashKey?: string
}

interface PutRecordInput extends StreamReference, Entry {
  readonly SequenceNumberForOrdering?: string
  readonly DryRun?: boolean
}

interface PutRecordsInput extends StreamReference {
  readonly Records: readonly Entry[]
  readonly DryRun?: boolean
}

const ENTRY: Fields = { PartitionKey: PARTITION_KEY, ExplicitHashKey: HASH_KEY, Data: DATA }

export const putRecord: Operation = operation<PutRecordInput>(
  { ...STREAM, ...ENTRY, SequenceNumberForOrdering: SEQUENCE_NUMBER, DryRun: { type: 'boolean' } },
  (account, input) => {
    const stream = writableStream(account, input)
    if (input.SequenceNumberForOrdering !== undefined) checkOrdering(account, stream, input.SequenceNumberForOrdering)
    const size = checkEntry(stream, input, '')
    const [placed] = accept(account, stream, [input], [size])
    if (placed === undefined || placed.record === undefined)
      throw throughputExceeded(rateExceeded(account, stream, placed!.shard))
    return { ShardId: placed.shard.shardId, SequenceNumber: placed.record.sequenceNumber, ...encryption(stream) }
  },
)

/**
 * Anything wrong with one entry refuses the whole request before any is accepted. Beyond that each entry succeeds or is throttled by
 * itself, in the order of the request: a smaller one may be accepted after a larger one of the same shard was not.
 */
export const putRecords: Operation = operation<PutRecordsInput>(
  {
    ...STREAM,
    Records: required({
      type: 'list',
      of: { type: 'structure', fields: ENTRY, required: true },
      min: 1,
      max: MAX_RECORDS_PER_PUT,
      shown: 'com.amazonaws.kinesis.v20131202.PutRecordsRequestEntry',
    }),
    DryRun: { type: 'boolean' },
  },
  (account, input) => {
    const stream = writableStream(account, input)
    const sizes = input.Records.map((entry, index) => checkEntry(stream, entry, `records.${index + 1}.member.`))
    let total = 0
    for (const size of sizes) total += size
    if (total > MAX_PUT_REQUEST_BYTES) {
      throw invalidArgument(`Records size exceeds 10 MB limit: the records and their partition keys have ${total} bytes.`)
    }
    let failed = 0
    const results = accept(account, stream, input.Records, sizes).map(({ shard, record }): PutRecordsResult => {
      if (record !== undefined) return { SequenceNumber: record.sequenceNumber, ShardId: shard.shardId }
      failed++
      return { ErrorCode: 'ProvisionedThroughputExceededException', ErrorMessage: rateExceeded(account, stream, shard) }
    })
    return { FailedRecordCount: failed, Records: results, ...encryption(stream) }
  },
)

function writableStream(account: Account, input: StreamReference & { readonly DryRun?: boolean }): Stream {
  const stream = account.stream(input)
  requireWritable(stream, account.accountId)
  refuseDryRun(input.DryRun)
  return stream
}

/** The size that counts against every limit: data and UTF-8 bytes of the partition key. */
function checkEntry(stream: Stream, entry: Entry, path: string): number {
  const auto = stream.settings.distribution === 'AUTO'
  if (entry.PartitionKey === undefined && !auto) throw constraintsFailed([missing(`${path}partitionKey`)])
  const size = entry.Data.length + (entry.PartitionKey === undefined ? 0 : Buffer.byteLength(entry.PartitionKey))
  if (size > stream.settings.maxRecordKiB * 1024) {
    throw invalidArgument(
      `Value at '${path}data' is too large: data and partition key have ${size} bytes, the maximum record size of stream ${stream.name} ` +
        `is ${stream.settings.maxRecordKiB} KiB.`,
    )
  }
  // The pattern of the field lets 39 digits pass, more than 128 bits.
  if (entry.ExplicitHashKey !== undefined && !auto && BigInt(entry.ExplicitHashKey) > MAX_HASH_KEY) {
    throw invalidArgument(
      'Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. ' +
        `Specified value was ${entry.ExplicitHashKey}`,
    )
  }
  return size
}

/** What the number orders against is older than the new record anyway; only nonsense is refused. */
function checkOrdering(account: Account, stream: Stream, text: string): void {
  if (stream.settings.distribution === 'AUTO') {
    throw invalidArgument(
      `SequenceNumberForOrdering can not be used on stream ${stream.name}: its record distribution strategy is AUTO.`,
    )
  }
  const number = parseSequenceNumber(text)
  if (number !== undefined && number.second <= Math.max(account.wallTime / 1000, number.beganSecond)) return
  throw invalidArgument(
    `ExclusiveMinimumSequenceNumber ${text} used in PutRecord on stream ${stream.name} under account ${account.accountId} is invalid.`,
  )
}

interface Placed {
  readonly shard: Shard
  /** Undefined: throttled. */
  readonly record: StoredRecord | undefined
}

function accept(account: Account, stream: Stream, entries: readonly Entry[], sizes: readonly number[]): Placed[] {
  const encrypted = stream.settings.keyId !== undefined
  const horizon = stream.horizon(account.wallTime)
  let acceptedBytes = 0
  const places = entries.map((entry, index) => {
    const size = sizes[index]!
    const shard = stream.settings.distribution === 'AUTO' ? anyPlace(stream, size, account.now) : placeOf(stream, entry)
    const accepted = !stream.quotas || shard.writeQuota.take(size, account.now)
    if (accepted) acceptedBytes += entry.Data.length
    return { shard, accepted }
  })
  // Records are kept as copies, so that neither a caller's reused buffer nor a whole request body lives on in them. The copies of one
  // request share one allocation.
  const copies = new Uint8Array(acceptedBytes)
  let used = 0
  return entries.map(({ PartitionKey, Data }, index) => {
    const { shard, accepted } = places[index]!
    if (!accepted) return { shard, record: undefined }
    copies.set(Data, used)
    const data = copies.subarray(used, used + Data.length)
    used += Data.length
    // A stream that is written and never read must not keep what has expired.
    shard.trim(horizon)
    return { shard, record: shard.append({ partitionKey: PartitionKey, data, size: sizes[index]!, encrypted }, account.wallTime) }
  })
}

const words = new Uint32Array(4)

function placeOf(stream: Stream, entry: Entry): Shard {
  if (entry.ExplicitHashKey === undefined) hashKeyWords(entry.PartitionKey!, words)
  else toWords(BigInt(entry.ExplicitHashKey), words)
  return stream.router.at(words)
}

/** Service-managed: the next shard in turn that has room, or just the next if none has. */
function anyPlace(stream: Stream, size: number, now: number): Shard {
  const next = stream.nextPlace()
  let shard = next
  for (let tried = 1; stream.quotas && tried < stream.openShards.length && !shard.writeQuota.allows(size, now); tried++) {
    shard = stream.nextPlace()
  }
  return shard
}

function rateExceeded(account: Account, stream: Stream, shard: Shard): string {
  return `Rate exceeded for shard ${shard.shardId} in stream ${stream.name} under account ${account.accountId}.`
}

function encryption(stream: Stream): object {
  return stream.settings.keyId === undefined ? {} : { EncryptionType: 'KMS' }
}
