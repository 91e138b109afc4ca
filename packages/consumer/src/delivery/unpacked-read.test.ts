import { createHash } from 'node:crypto'
import { AggregateBuilder } from '@shardwise/aggregation'
import { hashKeyOf, MAX_HASH_KEY } from '@shardwise/core/hash-key'
import type { KinesisRecord } from '@shardwise/core/kinesis-port'
import { describe, expect, it } from 'vitest'
import { type Position, sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import { MAX_BATCH_RECORDS, UnpackedRead, type UserRecordPart } from './unpacked-read.js'
import { UserRecords } from './user-records.js'

const LOWER = { start: 0n, end: MAX_HASH_KEY / 2n }

function aggregate(members: number, key = 'a'): Uint8Array {
  const builder = new AggregateBuilder({ maxBytes: 1_000_000 })
  for (let i = 0; i < members; i++) if (!builder.tryAdd(key, Uint8Array.of(i))) throw new Error('full')
  return builder.seal().bytes.slice()
}

const kinesisRecord = (sequenceNumber: number, data: Uint8Array): KinesisRecord => ({
  SequenceNumber: `${sequenceNumber}`,
  PartitionKey: 'a',
  Data: data,
})

/** A key and no record: KCL delivers nothing for it either. */
const EMPTY = emptyAggregate()

function emptyAggregate(): Uint8Array {
  const key = Buffer.from([0x0a, 1, 0x61])
  return Buffer.concat([aggregate(1).subarray(0, 4), key, createHash('md5').update(key).digest()])
}

function unpacked(records: readonly KinesisRecord[], resumeFrom: Position = TRIM_HORIZON): UnpackedRead {
  return new UnpackedRead(records, new UserRecords({ stream: 's', shardId: 'x', range: LOWER, resumeFrom }))
}

function partsOf(read: UnpackedRead): UserRecordPart[] {
  const parts: UserRecordPart[] = []
  while (read.hasMore) parts.push(read.take())
  return parts
}

const numbers = ({ records }: UserRecordPart): string[] => records.map((r) => `${r.sequenceNumber}/${r.subSequenceNumber}`)

describe('UnpackedRead', () => {
  it('gives a read with very many records in parts', () => {
    const data = aggregate(6000)
    const parts = partsOf(unpacked([1, 2, 3, 4, 5].map((sequenceNumber) => kinesisRecord(sequenceNumber, data))))
    expect(parts.map(({ records }) => records.length)).toEqual([MAX_BATCH_RECORDS, MAX_BATCH_RECORDS, MAX_BATCH_RECORDS])
    expect(new Set(parts.flatMap(numbers)).size).toBe(30_000)
  })

  it('gives as many as are asked for, from one Kinesis record on into the next', () => {
    const read = unpacked([1, 2].map((sequenceNumber) => kinesisRecord(sequenceNumber, aggregate(3))))
    expect(numbers(read.take(2))).toEqual(['1/0', '1/1'])
    expect(numbers(read.take(2))).toEqual(['1/2', '2/0'])
    expect([numbers(read.take(2)), read.hasMore]).toEqual([['2/1', '2/2'], false])
  })

  it('knows of the last part that it is the last, also where only nothing follows', () => {
    const data = aggregate(MAX_BATCH_RECORDS / 2)
    const nothing = Array.from({ length: 100 }, (_, i) => kinesisRecord(3 + i, EMPTY))
    const read = unpacked([kinesisRecord(1, data), kinesisRecord(2, data), ...nothing])
    expect(read.take().records.length).toBe(MAX_BATCH_RECORDS)
    expect(read.hasMore).toBe(false)
    expect(partsOf(unpacked([kinesisRecord(1, data), kinesisRecord(2, data), ...nothing, kinesisRecord(200, data)])).length).toBe(
      2,
    )
  })

  it.each([
    { name: 'no records', records: [] },
    { name: 'empty aggregates', records: [kinesisRecord(8, EMPTY), kinesisRecord(9, EMPTY)] },
    { name: 'what is completed', records: [kinesisRecord(6, aggregate(2)), kinesisRecord(7, aggregate(1))] },
  ])('gives nothing for $name', ({ records }) => {
    expect(unpacked(records, sequencePosition('7', 0)).hasMore).toBe(false)
  })

  it('counts those that belong to another shard, part by part', () => {
    const outside = ['ATL', 'BOS', 'CLT', 'DEN', 'EWR'].find((key) => hashKeyOf(key) > LOWER.end)!
    const inside = ['ATL', 'BOS', 'CLT', 'DEN', 'EWR'].find((key) => hashKeyOf(key) <= LOWER.end)!
    const records = [kinesisRecord(1, aggregate(6000, inside)), kinesisRecord(2, aggregate(6000, outside))]
    expect(partsOf(unpacked(records)).map(({ outsideShardRange }) => outsideShardRange)).toEqual([4000, 2000])
  })
})
