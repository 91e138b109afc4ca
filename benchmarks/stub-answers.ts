import { encodeCbor } from '@shardwise/core/cbor'
import { AGGREGATE_BYTES, type KeyedRecord, ours } from './aggregate-codec.js'
import { markedRecords } from './marked-records.js'
import type { StubContents } from './stub-kinesis-process.js'

/** Of GetRecords, in both encodings. */
export interface Answer {
  readonly json: Uint8Array
  readonly cbor: Uint8Array
}

/** By shard: the answers that lead from its first record to its end; the last one is empty and leads to itself. */
export type Answers = readonly (readonly Answer[])[]

const ARRIVED_AT_SECONDS = 1_760_000_000.123
const HOUR_MS = 3_600_000

/** The records in aggregates of the usual size, each in the shard that it belongs to. */
export function answersOf(contents: StubContents, shards: number, shardOf: (partitionKey: string) => number): Answers {
  const byShard = Array.from({ length: shards }, (): KeyedRecord[] => [])
  for (const record of markedRecords(contents.turn, contents.records)) byShard[shardOf(record.partitionKey)]!.push(record)
  const perAnswer = Math.max(1, Math.round(contents.answerBytes / AGGREGATE_BYTES))
  return byShard.map((records, shard) => {
    const aggregates: Uint8Array[] = []
    ours.encode(records, [], (aggregate) => aggregates.push(aggregate.slice()))
    const answers: Answer[] = []
    for (let from = 0; from < aggregates.length; from += perAnswer) {
      const isLast = from + perAnswer >= aggregates.length
      answers.push(answer(shard, answers.length + 1, from, aggregates.slice(from, from + perAnswer), isLast ? 0 : HOUR_MS))
    }
    answers.push(answer(shard, answers.length, 0, [], 0))
    return answers
  })
}

function answer(shard: number, next: number, from: number, aggregates: readonly Uint8Array[], behindMs: number): Answer {
  const records = aggregates.map((Data, i) => ({
    ApproximateArrivalTimestamp: ARRIVED_AT_SECONDS,
    Data,
    PartitionKey: 'a',
    SequenceNumber: `49590338271490256608559692538361571095${String(from + i + 1).padStart(18, '0')}`,
  }))
  const others = { MillisBehindLatest: behindMs, NextShardIterator: `${shard}:${next}` }
  const inJson = records.map(({ Data, ...record }) => ({ ...record, Data: Buffer.from(Data).toString('base64') }))
  return {
    json: Buffer.from(JSON.stringify({ ...others, Records: inJson })),
    cbor: encodeCbor({ ...others, Records: records }),
  }
}
