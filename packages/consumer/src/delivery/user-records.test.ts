import { AggregateBuilder } from '@shardwise/aggregation'
import { type HashKeyRange, hashKeyOf, inRange, MAX_HASH_KEY } from '@shardwise/core/hash-key'
import type { KinesisRecord } from '@shardwise/core/kinesis-port'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Position, sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import type { ConsumedRecord } from './consumed-record.js'
import { UnpackedRead, type UserRecordPart } from './unpacked-read.js'
import { UserRecords } from './user-records.js'

const HALF = MAX_HASH_KEY / 2n
const LOWER = { start: 0n, end: HALF }
const text = new TextEncoder()

function aggregate(...members: { key: string; ehk?: string }[]): Uint8Array {
  const builder = new AggregateBuilder({ maxBytes: 1_000_000 })
  members.forEach(({ key, ehk }, index) => {
    if (!builder.tryAdd(key, text.encode(`${key}-${index}`), ehk)) throw new Error('full')
  })
  const sealed = builder.seal()
  return sealed.bytes.slice()
}

function kinesisRecord(sequenceNumber: string, data: Uint8Array, partitionKey = 'a'): KinesisRecord {
  return { SequenceNumber: sequenceNumber, PartitionKey: partitionKey, Data: data, ApproximateArrivalTimestamp: new Date(5) }
}

function read(
  records: readonly KinesisRecord[],
  resumeFrom: Position = TRIM_HORIZON,
  range: HashKeyRange | undefined = LOWER,
): ConsumedRecord[] {
  return partsOf(records, resumeFrom, range).flatMap((part) => part.records)
}

function partsOf(
  records: readonly KinesisRecord[],
  resumeFrom: Position = TRIM_HORIZON,
  range?: HashKeyRange,
): readonly UserRecordPart[] {
  const unpacked = new UnpackedRead(records, new UserRecords({ stream: 'flights', shardId: 'shard', range, resumeFrom }))
  const parts: UserRecordPart[] = []
  while (unpacked.hasMore) parts.push(unpacked.take())
  return parts
}

const positions = (records: readonly ConsumedRecord[]): string[] =>
  records.map((r) => `${r.sequenceNumber}/${r.subSequenceNumber}`)
const lower = ['ATL', 'BOS', 'CLT', 'DEN', 'EWR'].filter((key) => inRange(hashKeyOf(key), LOWER))
const upper = ['ATL', 'BOS', 'CLT', 'DEN', 'EWR'].filter((key) => !inRange(hashKeyOf(key), LOWER))

describe('UserRecords', () => {
  it('gives a plain record as it is', () => {
    const data = text.encode('hello')
    expect(read([kinesisRecord('7', data, 'key')])).toEqual([
      {
        stream: 'flights',
        shardId: 'shard',
        partitionKey: 'key',
        explicitHashKey: undefined,
        data,
        bytes: data,
        sequenceNumber: '7',
        subSequenceNumber: 0,
        aggregated: false,
        outsideShardRange: false,
        arrivedAt: new Date(5),
      },
    ])
  })

  it('gives the members of an aggregate, between plain records, in order', () => {
    const members = read([
      kinesisRecord('7', text.encode('x')),
      kinesisRecord('8', aggregate({ key: 'k' }, { key: 'l', ehk: '12' })),
      kinesisRecord('9', text.encode('y')),
    ])
    expect(positions(members)).toEqual(['7/0', '8/0', '8/1', '9/0'])
    expect(members[2]).toMatchObject({ partitionKey: 'l', explicitHashKey: '12', aggregated: true, arrivedAt: new Date(5) })
    expect(new TextDecoder().decode(members[2]!.data)).toBe('l-1')
  })

  it('keeps the order through a read of many Kinesis records, aggregates, plain ones and damaged aggregates', () => {
    const damaged = aggregate({ key: 'k' })
    damaged[damaged.length - 1]! ^= 1
    const expected: string[] = []
    const records = Array.from({ length: 300 }, (_, i) => {
      const members = i % 3 === 0 ? i % 7 : 0
      for (let member = 0; member < Math.max(1, members); member++) expected.push(`${i}/${member}`)
      if (members > 0) return kinesisRecord(`${i}`, aggregate(...Array.from({ length: members }, () => ({ key: 'k' }))))
      return kinesisRecord(`${i}`, i % 5 === 0 ? damaged : text.encode('x'))
    })
    expect(positions(read(records))).toEqual(expected)
  })

  it.each([
    { name: 'in mid-aggregate', resumeFrom: sequencePosition('8', 1), rest: ['8/2', '9/0'] },
    { name: 'at the last member', resumeFrom: sequencePosition('8', 2), rest: ['9/0'] },
    { name: 'behind the last member, as another library counted', resumeFrom: sequencePosition('8', 9), rest: ['9/0'] },
    { name: 'at a plain record', resumeFrom: sequencePosition('7'), rest: ['8/0', '8/1', '8/2', '9/0'] },
    { name: 'before a record that has expired', resumeFrom: sequencePosition('6'), rest: ['7/0', '8/0', '8/1', '8/2', '9/0'] },
    { name: 'at a number with fewer digits', resumeFrom: sequencePosition('10'), rest: [] },
    { name: 'at a sentinel', resumeFrom: TRIM_HORIZON, rest: ['7/0', '8/0', '8/1', '8/2', '9/0'] },
  ])('leaves out what is completed: a checkpoint $name', ({ resumeFrom, rest }) => {
    const records = [
      kinesisRecord('7', text.encode('x')),
      kinesisRecord('8', aggregate({ key: 'a' }, { key: 'b' }, { key: 'c' })),
      kinesisRecord('9', text.encode('y')),
    ]
    expect(positions(read(records, resumeFrom))).toEqual(rest)
  })

  it('delivers and marks members that belong to another shard, and counts sub-sequence numbers over all', () => {
    const members = read([kinesisRecord('8', aggregate({ key: lower[0]! }, { key: upper[0]! }, { key: lower[0]! }))])
    expect(positions(members)).toEqual(['8/0', '8/1', '8/2'])
    expect(members.map((member) => member.outsideShardRange)).toEqual([false, true, false])
  })

  it('goes by the explicit hash key where a member has one', () => {
    const members = read([
      kinesisRecord(
        '8',
        aggregate({ key: lower[0]!, ehk: String(MAX_HASH_KEY) }, { key: upper[0]!, ehk: '0' }, { key: 'x', ehk: String(HALF) }),
      ),
    ])
    expect(members.map((member) => member.outsideShardRange)).toEqual([true, false, false])
  })

  it('marks nothing without a known range, and no plain record: Kinesis has placed it', () => {
    const records = [kinesisRecord('8', aggregate({ key: upper[0]! })), kinesisRecord('9', text.encode('y'), upper[0]!)]
    const [part] = partsOf(records)
    expect(part?.records.map((record) => record.outsideShardRange)).toEqual([false, false])
    expect(read([records[1]!])[0]?.outsideShardRange).toBe(false)
  })

  it.each([
    { name: 'a wrong MD5', spoil: (bytes: Uint8Array) => bytes.with(bytes.length - 1, bytes.at(-1)! ^ 1) },
    { name: 'cut short', spoil: (bytes: Uint8Array) => bytes.subarray(0, bytes.length - 20) },
    { name: 'only the magic number', spoil: (bytes: Uint8Array) => bytes.subarray(0, 4) },
  ])('treats what only looks like an aggregate as a plain record: $name', ({ spoil }) => {
    const data = spoil(aggregate({ key: 'a' }, { key: 'b' }))
    expect(read([kinesisRecord('8', data)])).toMatchObject([{ aggregated: false, data, subSequenceNumber: 0 }])
  })

  it('resumes exactly: from any checkpoint the rest follows without gap or repetition', () => {
    const stream = fc
      .array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 8 })
      .map((sizes) =>
        sizes.map((size, index) =>
          kinesisRecord(
            String(98 + index),
            size === 0 ? text.encode('plain') : aggregate(...Array.from({ length: size }, (_, i) => ({ key: `k${i}` }))),
          ),
        ),
      )
    fc.assert(
      fc.property(stream, fc.nat(), (records, pick) => {
        const all = positions(read(records))
        const at = pick % all.length
        const [sequenceNumber, sub] = all[at]!.split('/')
        const resumeFrom = sequencePosition(sequenceNumber!, Number(sub))
        // As AT_SEQUENCE_NUMBER gives them: from the checkpointed Kinesis record on.
        const again = records.filter((record) => BigInt(record.SequenceNumber!) >= BigInt(sequenceNumber!))
        expect(positions(read(again, resumeFrom))).toEqual(all.slice(at + 1))
        expect(positions(read(records, resumeFrom))).toEqual(all.slice(at + 1))
      }),
    )
  })
})
