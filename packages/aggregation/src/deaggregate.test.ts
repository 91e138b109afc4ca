import type { _Record, GetRecordsCommandOutput } from '@aws-sdk/client-kinesis'
import { describe, expect, it } from 'vitest'
import { AggregateBuilder, AggregationError, deaggregate } from './index.js'

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value)

function aggregate(...values: string[]): Uint8Array {
  const builder = new AggregateBuilder()
  for (const [i, value] of values.entries())
    builder.tryAdd(`key ${value}`, bytes(value), i === 1 ? '42' : undefined, [{ key: value }])
  return builder.seal().bytes
}

const arrival = new Date('2026-11-21T04:05:06.789Z')
const sdkRecords: _Record[] = [
  { Data: bytes('plain'), PartitionKey: 'p', SequenceNumber: '100', ApproximateArrivalTimestamp: arrival, EncryptionType: 'KMS' },
  { Data: aggregate('x', 'y', 'z'), PartitionKey: 'a', SequenceNumber: '101', ApproximateArrivalTimestamp: arrival },
  { Data: new Uint8Array(0), PartitionKey: undefined, SequenceNumber: '102' },
]
const lambdaEvent = {
  Records: sdkRecords.map((record) => ({
    kinesis: {
      kinesisSchemaVersion: '1.0',
      partitionKey: record.PartitionKey ?? '',
      sequenceNumber: record.SequenceNumber ?? '',
      data: Buffer.from(record.Data ?? []).toString('base64'),
      ...(record.ApproximateArrivalTimestamp && {
        approximateArrivalTimestamp: record.ApproximateArrivalTimestamp.getTime() / 1000,
      }),
    },
    eventSource: 'aws:kinesis',
    eventVersion: '1.0',
    eventID: `shardId-000000000000:${record.SequenceNumber}`,
    eventName: 'aws:kinesis:record',
    invokeIdentityArn: 'arn:aws:iam::123456789012:role/lambda',
    awsRegion: 'us-east-1',
    eventSourceARN: 'arn:aws:kinesis:us-east-1:123456789012:stream/flights',
  })),
}

const member = (value: string, subSequenceNumber: number) => ({
  partitionKey: `key ${value}`,
  explicitHashKey: subSequenceNumber === 1 ? '42' : undefined,
  data: value,
  sequenceNumber: '101',
  subSequenceNumber,
  aggregated: true,
  tags: [{ key: value }],
  approximateArrivalTimestamp: arrival,
})
const ordinary = { explicitHashKey: undefined, subSequenceNumber: 0, aggregated: false, tags: [] }
const expected = [
  { ...ordinary, partitionKey: 'p', data: 'plain', sequenceNumber: '100', approximateArrivalTimestamp: arrival },
  member('x', 0),
  member('y', 1),
  member('z', 2),
  { ...ordinary, partitionKey: '', data: '', sequenceNumber: '102', approximateArrivalTimestamp: undefined },
]

describe('deaggregate', () => {
  const reply: GetRecordsCommandOutput = { $metadata: {}, Records: sdkRecords }

  it.each([
    ['AWS SDK v3 records', () => deaggregate(sdkRecords)],
    ['a GetRecords reply', () => deaggregate(reply)],
    ['any iterable', () => deaggregate(new Set(sdkRecords))],
    ['a Lambda event', () => deaggregate(lambdaEvent)],
    ['Lambda records', () => deaggregate(lambdaEvent.Records)],
    ['SDK and Lambda records mixed', () => deaggregate([...sdkRecords.slice(0, 2), ...lambdaEvent.Records.slice(2)])],
  ])('takes %s', (_, records) => {
    expect([...records()].map(({ kinesisRecord, ...record }) => ({ ...record, data: text(record.data) }))).toEqual(expected)
  })

  it('hands on the record that each came in, with its own type', () => {
    const eventIds = [...deaggregate(lambdaEvent)].map((record) => record.kinesisRecord.eventID)
    expect(eventIds).toEqual([100, 101, 101, 101, 102].map((n) => `shardId-000000000000:${n}`))
  })

  it('delivers a broken aggregate as the ordinary record that it is', () => {
    const data = aggregate('x').slice()
    data[data.length - 1]! ^= 1
    const [record, ...rest] = deaggregate([{ Data: data, PartitionKey: 'a', SequenceNumber: '1' }])
    expect(rest).toEqual([])
    expect(record).toMatchObject({ aggregated: false, partitionKey: 'a', data })
  })

  it('is lazy', () => {
    const seen: number[] = []
    const source = function* () {
      for (const [i, record] of sdkRecords.entries()) {
        seen.push(i)
        yield record
      }
    }
    const records = deaggregate(source())
    records.next()
    records.next()
    expect(seen).toEqual([0, 1])
  })

  it.each([
    ['undefined', undefined, 'got undefined'],
    ['text', 'records', 'got "records"'],
    ['another event', { detail: {} }, 'got Object'],
    ['Records missing', { Records: undefined }, '`Records`'],
  ])('throws at once for %s', (_, records, message) => {
    expect(() => deaggregate(records as never)).toThrow(AggregationError)
    expect(() => deaggregate(records as never)).toThrow(message)
  })

  it.each([
    ['an SQS record', { body: '' }],
    ['a record without Data', { PartitionKey: 'a', SequenceNumber: '1' }],
    ['data as text', { Data: 'text', PartitionKey: 'a', SequenceNumber: '1' }],
    ['words', { Data: new Uint16Array(2), PartitionKey: 'a', SequenceNumber: '1' }],
    ['a Lambda record without data', { kinesis: { partitionKey: 'a' } }],
    ['null', null],
  ])('throws for %s, naming its position', (_, record) => {
    const records = deaggregate([sdkRecords[0]!, record as never])
    records.next()
    expect(() => records.next()).toThrow('Record 1 is no Kinesis record')
  })
})
