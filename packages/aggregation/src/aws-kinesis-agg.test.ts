import { createRequire } from 'node:module'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AggregateBuilder, decodeAggregate, type UserRecordInput } from './index.js'

/** npm aws-kinesis-agg, what users of KPL records in Node have had so far. Its declared types need the AWS SDK v2. */
interface PeerRecord {
  readonly partitionKey: string
  readonly explicitPartitionKey?: string
  readonly subSequenceNumber: number
  readonly data: string
}
interface Peer {
  readonly deaggregateSync: (
    record: { readonly partitionKey: string; readonly sequenceNumber: string; readonly data: string },
    computeChecksums: boolean,
    done: (error: Error | undefined, records: PeerRecord[]) => void,
  ) => void
  readonly RecordAggregator: new () => {
    addUserRecord(record: { readonly partitionKey: string; readonly explicitHashKey?: string; readonly data: Buffer }): void
    build(): { readonly data: Buffer }
  }
}
const peer = createRequire(import.meta.url)('aws-kinesis-agg') as Peer

function peerReads(bytes: Uint8Array): PeerRecord[] {
  let result: PeerRecord[] = []
  peer.deaggregateSync(
    { partitionKey: 'a', sequenceNumber: '1', data: Buffer.from(bytes).toString('base64') },
    true,
    (error, records) => {
      if (error) throw error
      result = records
    },
  )
  return result
}

function weWrite(records: readonly UserRecordInput[]): Uint8Array {
  const builder = new AggregateBuilder({ maxBytes: 1_000_000 })
  for (const record of records)
    expect(builder.tryAdd(record.partitionKey, record.data, record.explicitHashKey, record.tags)).toBe(true)
  return builder.seal().bytes
}

function peerWrites(keys: readonly string[]): Uint8Array {
  const aggregator = new peer.RecordAggregator()
  for (const key of keys) aggregator.addUserRecord({ partitionKey: key, data: Buffer.from(key) })
  return aggregator.build().data
}

const anyKey = fc.oneof(
  fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' }),
  fc.constantFrom('10', '2', '__proto__', 'hasOwnProperty'),
)
const anyRecord = fc.record({ partitionKey: anyKey, data: fc.uint8Array({ maxLength: 100 }) })

describe('aws-kinesis-agg reads what we write', () => {
  it.each([
    ['without explicit hash keys', undefined],
    ['with one on every record', '12345'],
  ])('%s', (_, explicitHashKey) => {
    fc.assert(
      fc.property(fc.array(anyRecord, { minLength: 1, maxLength: 30 }), (records) => {
        const read = peerReads(weWrite(records.map((record) => ({ ...record, explicitHashKey }))))
        expect(
          read.map((record) => [record.partitionKey, record.explicitPartitionKey, record.data, record.subSequenceNumber]),
        ).toEqual(records.map((r, i) => [r.partitionKey, explicitHashKey, Buffer.from(r.data).toString('base64'), i]))
      }),
      { numRuns: 200 },
    )
  })

  it('with tags, which it does not know of: the same records, and the digest holds', () => {
    const text = fc.string({ unit: 'binary', maxLength: 40 })
    const tags = fc.array(fc.record({ key: text, value: text }), { maxLength: 4 })
    fc.assert(
      fc.property(fc.array(fc.tuple(anyRecord, tags), { minLength: 1, maxLength: 10 }), (pairs) => {
        const tagged = weWrite(pairs.map(([record, tags]) => ({ ...record, tags })))
        expect(peerReads(tagged)).toEqual(peerReads(weWrite(pairs.map(([record]) => record))))
        const spoilt = tagged.slice()
        spoilt[spoilt.length - 20]! ^= 1
        expect(() => peerReads(spoilt)).toThrow()
      }),
      { numRuns: 200 },
    )
  })

  it('except that a record without an explicit hash key gets the first one of the table', () => {
    const bytes = weWrite([
      { partitionKey: 'a', explicitHashKey: '7', data: new Uint8Array(1) },
      { partitionKey: 'b', data: new Uint8Array(1) },
    ])
    expect(peerReads(bytes).map((record) => record.explicitPartitionKey)).toEqual(['7', '7'])
    expect([...decodeAggregate(bytes)!].map((view) => view.explicitHashKey)).toEqual(['7', undefined])
  })
})

describe('we read what aws-kinesis-agg writes', () => {
  it('with keys that do not look like whole numbers', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.string({ minLength: 1 }).map((key) => `k${key}`),
          { minLength: 1, maxLength: 30 },
        ),
        (keys) => {
          const views = [...decodeAggregate(peerWrites(keys))!]
          expect(views.map((view) => [view.partitionKey, Buffer.from(view.data).toString()])).toEqual(
            keys.map((key) => [key, key]),
          )
        },
      ),
      { numRuns: 200 },
    )
  })

  it('where it swaps keys that do: it numbers them as they come and writes them in numeric order', () => {
    const keys = ['10', '2']
    expect([...decodeAggregate(peerWrites(keys))!].map((view) => view.partitionKey)).toEqual(['2', '10'])
    const records = keys.map((key) => ({ partitionKey: key, data: Buffer.from(key) }))
    expect(peerReads(weWrite(records)).map((record) => record.partitionKey)).toEqual(keys)
  })
})
