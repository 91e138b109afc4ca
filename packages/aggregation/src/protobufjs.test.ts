import { createHash } from 'node:crypto'
import fc from 'fast-check'
import protobuf from 'protobufjs/light.js'
import { describe, expect, it } from 'vitest'
import { AggregateBuilder, decodeAggregate, type Tag, type UserRecordInput } from './index.js'
import { AggregatedRecord, descriptor } from './schema.js'

/** AggregatedRecord as protobufjs shows it with `toObject(..., { longs: Number })`. */
interface Message {
  readonly partitionKeyTable?: readonly string[]
  readonly explicitHashKeyTable?: readonly string[]
  readonly records?: readonly {
    readonly partitionKeyIndex: number
    readonly explicitHashKeyIndex?: number
    readonly data: Uint8Array
    readonly tags?: readonly Tag[]
  }[]
}

type Messages = Readonly<Record<'AggregatedRecord' | 'Record' | 'Tag', { readonly fields: Readonly<Record<string, object>> }>>

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const enveloped = (message: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.from('f3899ac2', 'hex'), message, createHash('md5').update(message).digest()])

const anyText = fc.oneof(
  fc.string({ maxLength: 30 }),
  fc.string({ unit: 'grapheme', maxLength: 100 }),
  fc.constantFrom('', '0', '2', '10', '__proto__', 'hasOwnProperty', '\ufeff'),
)
const anyTag: fc.Arbitrary<Tag> = fc.record({ key: anyText, value: anyText }, { requiredKeys: ['key'], noNullPrototype: true })
const anyRecord: fc.Arbitrary<UserRecordInput> = fc.record(
  {
    partitionKey: anyText,
    explicitHashKey: fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map(String),
    data: fc.uint8Array({ maxLength: 200 }),
    tags: fc.array(anyTag, { minLength: 1, maxLength: 3 }),
  },
  { requiredKeys: ['partitionKey', 'data'] },
)

const plain = (record: UserRecordInput) => ({
  partitionKey: record.partitionKey,
  explicitHashKey: record.explicitHashKey,
  data: hex(record.data),
  tags: record.tags ?? [],
})

describe('protobufjs, built from the shipped schema', () => {
  it('reads records of keys and data alone, whatever number of bytes their lengths and indexes take', () => {
    const lengths = [...Array.from({ length: 140 }, (_, i) => i), 16_376, 16_377, 16_378, 16_379, 16_383, 16_384, 1]
    const records = lengths.map((length, i) => ({ partitionKey: `key ${i}`, data: new Uint8Array(length).fill(i) }))
    const builder = new AggregateBuilder({ maxBytes: 1_000_000 })
    let byteLength = 0
    for (const { partitionKey, data } of records) {
      byteLength = builder.sizeWith(partitionKey, data)
      expect(builder.tryAdd(partitionKey, data)).toBe(true)
      expect(builder.byteLength).toBe(byteLength)
    }
    const { bytes } = builder.seal()
    const message = AggregatedRecord.toObject(AggregatedRecord.decode(bytes.subarray(4, -16)), { longs: Number }) as Message
    const back = message.records!.map(({ partitionKeyIndex, data }) => [message.partitionKeyTable![partitionKeyIndex], hex(data)])
    expect(back).toEqual(records.map(({ partitionKey, data }) => [partitionKey, hex(data)]))
    expect(bytes.length).toBe(byteLength)
    for (const { partitionKey, data } of records.slice(100, -1)) {
      const size = builder.sizeWith(partitionKey, data)
      expect(new AggregateBuilder({ maxBytes: size }).tryAdd(partitionKey, data)).toBe(true)
      expect(new AggregateBuilder({ maxBytes: size - 1 }).tryAdd(partitionKey, data)).toBe(false)
    }
  })

  it('reads what we write, and writes the same bytes from what it read', () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { minLength: 1, maxLength: 40 }), (records) => {
        const builder = new AggregateBuilder({ maxBytes: 1_000_000 })
        for (const r of records) expect(builder.tryAdd(r.partitionKey, r.data, r.explicitHashKey, r.tags)).toBe(true)
        const { bytes } = builder.seal()
        const decoded = AggregatedRecord.decode(bytes.subarray(4, -16))
        const message = AggregatedRecord.toObject(decoded, { longs: Number }) as Message
        const back = message.records!.map((record) => ({
          partitionKey: message.partitionKeyTable![record.partitionKeyIndex]!,
          explicitHashKey:
            record.explicitHashKeyIndex === undefined ? undefined : message.explicitHashKeyTable![record.explicitHashKeyIndex]!,
          data: hex(record.data),
          tags: record.tags ?? [],
        }))
        expect(back).toEqual(records.map(plain))
        expect(new Set(message.partitionKeyTable).size).toBe(message.partitionKeyTable!.length)
        expect(hex(enveloped(AggregatedRecord.encode(decoded).finish()))).toBe(hex(bytes))
      }),
      { numRuns: 500 },
    )
  })

  it('reads the same where its schema has no tags', () => {
    const schema = structuredClone(descriptor) as { nested: { shardwise: { nested: { aggregation: { nested: Messages } } } } }
    const { Record, Tag, ...messages } = schema.nested.shardwise.nested.aggregation.nested
    const { tags, ...fields } = Record.fields
    expect([tags, Tag]).not.toContain(undefined)
    const untagged = protobuf.Root.fromJSON({ nested: { ...messages, Record: { ...Record, fields } } } as protobuf.INamespace)
    const OldRecord = untagged.lookupType('AggregatedRecord')
    fc.assert(
      fc.property(fc.array(anyRecord, { minLength: 1, maxLength: 20 }), (records) => {
        const builder = new AggregateBuilder({ maxBytes: 1_000_000 })
        for (const r of records) expect(builder.tryAdd(r.partitionKey, r.data, r.explicitHashKey, r.tags)).toBe(true)
        const { bytes } = builder.seal()
        expect(hex(createHash('md5').update(bytes.subarray(4, -16)).digest())).toBe(hex(bytes.subarray(-16)))
        const message = OldRecord.toObject(OldRecord.decode(bytes.subarray(4, -16)), { longs: Number }) as Message
        expect(message.records!.map((r) => [message.partitionKeyTable![r.partitionKeyIndex], hex(r.data), r.tags])).toEqual(
          records.map((r) => [r.partitionKey, hex(r.data), undefined]),
        )
      }),
      { numRuns: 200 },
    )
  })

  it('writes what we read, in any order of tables, with entries that nothing uses', () => {
    const anyMessage = fc
      .record({
        partitionKeyTable: fc.array(anyText, { minLength: 1, maxLength: 10 }),
        explicitHashKeyTable: fc.array(anyText, { minLength: 1, maxLength: 10 }),
      })
      .chain((tables) =>
        fc.record({
          partitionKeyTable: fc.constant(tables.partitionKeyTable),
          explicitHashKeyTable: fc.constant(tables.explicitHashKeyTable),
          records: fc.array(
            fc.record(
              {
                partitionKeyIndex: fc.nat(tables.partitionKeyTable.length - 1),
                explicitHashKeyIndex: fc.nat(tables.explicitHashKeyTable.length - 1),
                data: fc.uint8Array({ maxLength: 200 }),
                tags: fc.array(anyTag, { minLength: 1, maxLength: 3 }),
              },
              { requiredKeys: ['partitionKeyIndex', 'data'], noNullPrototype: true },
            ),
            { maxLength: 30 },
          ),
        }),
      )
    fc.assert(
      fc.property(anyMessage, (message) => {
        const bytes = enveloped(AggregatedRecord.encode(AggregatedRecord.fromObject(message)).finish())
        const decoded = decodeAggregate(bytes)!
        expect(decoded.length).toBe(message.records.length)
        const back = [...decoded].map((view) => ({ ...plain(view), subSequenceNumber: view.subSequenceNumber }))
        expect(back).toEqual(
          message.records.map((record, subSequenceNumber) => ({
            partitionKey: message.partitionKeyTable[record.partitionKeyIndex],
            explicitHashKey:
              record.explicitHashKeyIndex === undefined ? undefined : message.explicitHashKeyTable[record.explicitHashKeyIndex],
            data: hex(record.data),
            tags: record.tags ?? [],
            subSequenceNumber,
          })),
        )
      }),
      { numRuns: 500 },
    )
  })
})
