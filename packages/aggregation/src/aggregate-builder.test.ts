import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  AggregateBuilder,
  AggregationError,
  BufferPool,
  decodeAggregate,
  finishAggregates,
  type SealedAggregate,
  type Tag,
  type UserRecordInput,
} from './index.js'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const add = (builder: AggregateBuilder, record: UserRecordInput): boolean =>
  builder.tryAdd(record.partitionKey, record.data, record.explicitHashKey, record.tags)

const anyText = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.constantFrom('', '0', '2', '10', '__proto__', 'hasOwnProperty', 'constructor', '\ufeff', 'é', '\0'),
)
const anyTag: fc.Arbitrary<Tag> = fc.record({ key: anyText, value: anyText }, { requiredKeys: ['key'] })
const anyRecord: fc.Arbitrary<UserRecordInput> = fc.record(
  {
    partitionKey: anyText,
    explicitHashKey: fc.oneof(
      fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map(String),
      fc.constantFrom('0', '1', '340282366920938463463374607431768211455'),
    ),
    data: fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ minLength: 120, maxLength: 300 })),
    tags: fc.array(anyTag, { maxLength: 3 }),
  },
  { requiredKeys: ['partitionKey', 'data'] },
)

describe('what comes back', () => {
  const hard = [
    '10',
    '2',
    '__proto__',
    'hasOwnProperty',
    'constructor',
    '',
    ' ',
    'é',
    '日本語',
    '\u{1f680}',
    '\ufeffbom',
    '\0',
    'k'.repeat(256),
    'ü'.repeat(256),
  ]

  it.each([
    ['as added', hard],
    ['in reverse', hard.toReversed()],
    ['twice', [...hard, ...hard]],
  ])('keys that trip objects and byte counts, %s', (_, keys) => {
    const builder = new AggregateBuilder()
    for (const [i, key] of keys.entries()) expect(builder.tryAdd(key, bytes(`${i}`), key)).toBe(true)
    const decoded = decodeAggregate(builder.seal().bytes)!
    expect([...decoded].map((view) => view.partitionKey)).toEqual(keys)
    expect([...decoded].map((view) => view.explicitHashKey)).toEqual(keys)
    expect([...decoded].map((view) => Buffer.from(view.data).toString())).toEqual(keys.map((_, i) => `${i}`))
  })

  it('gives an explicit hash key and tags only to records that have them', () => {
    const builder = new AggregateBuilder()
    builder.tryAdd('a', bytes('1'))
    builder.tryAdd('a', bytes('2'), '7')
    builder.tryAdd('b', bytes('3'), undefined, [{ key: 'id', value: 'x' }, { key: 'bare' }, { key: '', value: '' }])
    builder.tryAdd('b', bytes('4'), '7', [])
    const decoded = decodeAggregate(builder.seal().bytes)!
    expect([...decoded].map((view) => view.explicitHashKey)).toEqual([undefined, '7', undefined, '7'])
    expect([...decoded].map((view) => view.tags)).toEqual([
      [],
      [],
      [{ key: 'id', value: 'x' }, { key: 'bare' }, { key: '', value: '' }],
      [],
    ])
  })

  it('writes lone surrogates as U+FFFD and one table entry for keys that become equal by it', () => {
    const builder = new AggregateBuilder()
    for (const key of ['a\ud800', 'a\ufffd', 'a\udfff', 'a\ud800']) builder.tryAdd(key, bytes('x'))
    const one = new AggregateBuilder()
    for (let i = 0; i < 4; i++) one.tryAdd('a\ufffd', bytes('x'))
    expect(builder.seal().bytes).toEqual(one.seal().bytes)
  })

  it('copies data, so that the caller may reuse its array', () => {
    const builder = new AggregateBuilder()
    const data = bytes('before')
    builder.tryAdd('k', data)
    data.fill(0)
    expect(Buffer.from(decodeAggregate(builder.seal().bytes)!.data(0)).toString()).toBe('before')
  })

  it('encodes to bytes that were worked out by hand', () => {
    const builder = new AggregateBuilder()
    builder.tryAdd('a', bytes('x'))
    builder.tryAdd('b', bytes(''), '9', [{ key: 't', value: 'v' }])
    const hex = Buffer.from(builder.seal().bytes).toString('hex')
    const message = '0a01610a01621201391a0508001a01781a0e080110001a0022060a0174120176'
    expect(hex.slice(0, 8)).toBe('f3899ac2')
    expect(hex.slice(8, -32)).toBe(message)
  })
})

describe('size', () => {
  it('is exact before and after every record, whatever the records, and the limit is never passed', () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 60 }), fc.integer({ min: 64, max: 4000 }), (records, maxBytes) => {
        const builder = new AggregateBuilder({ maxBytes })
        const kept: UserRecordInput[] = []
        expect(builder.byteLength).toBe(0)
        for (const record of records) {
          const before = { count: builder.count, byteLength: builder.byteLength }
          const predicted = builder.sizeWith(record.partitionKey, record.data, record.explicitHashKey, record.tags)
          expect({ count: builder.count, byteLength: builder.byteLength }).toEqual(before)
          const added = add(builder, record)
          expect(added).toBe(predicted <= maxBytes)
          if (added) kept.push(record)
          expect(builder.count).toBe(kept.length)
          expect(builder.byteLength).toBe(added ? predicted : before.byteLength)
        }
        if (kept.length === 0) return
        const { byteLength } = builder
        const sealed = builder.seal()
        expect(sealed.bytes.length).toBe(byteLength)
        expect(sealed.count).toBe(kept.length)
        expect(builder.count).toBe(0)
        expect(builder.byteLength).toBe(0)
        const decoded = [...decodeAggregate(sealed.bytes)!]
        expect(decoded.map((view) => Buffer.from(view.data).toString('hex'))).toEqual(
          kept.map((record) => Buffer.from(record.data).toString('hex')),
        )
      }),
      { numRuns: 500 },
    )
  })

  it('stays exact where index and length varints grow to two and three bytes', () => {
    const builder = new AggregateBuilder({ maxBytes: 10_000_000 })
    for (let i = 0; i < 16_500; i++) {
      const data = new Uint8Array(i % 130)
      const predicted = i % 127 === 0 ? builder.sizeWith(`key ${i}`, data, `${i}`) : undefined
      if (!builder.tryAdd(`key ${i}`, data, i % 2 === 0 ? `${i}` : undefined)) throw new Error('too small')
      if (predicted !== undefined && i % 2 === 0) expect(builder.byteLength).toBe(predicted)
    }
    builder.tryAdd('large', new Uint8Array(20_000))
    const { byteLength } = builder
    const sealed = builder.seal()
    expect(sealed.bytes.length).toBe(byteLength)
    const decoded = decodeAggregate(sealed.bytes)!
    expect(decoded.length).toBe(16_501)
    for (let i = 0; i < 16_500; i++) {
      if (decoded.partitionKey(i) !== `key ${i}` || decoded.explicitHashKey(i) !== (i % 2 === 0 ? `${i}` : undefined)) {
        throw new Error(`record ${i} came back wrong`)
      }
    }
  })

  it('takes a record that fits to the byte and refuses one byte more, also as the first', () => {
    const overhead = 20 + 3 + 2 + 2 + 2
    for (const room of [64, 100]) {
      const builder = new AggregateBuilder({ maxBytes: room })
      expect(builder.tryAdd('k', new Uint8Array(room - overhead + 1))).toBe(false)
      expect(builder.count).toBe(0)
      expect(() => builder.seal()).toThrow(AggregationError)
      expect(builder.tryAdd('k', new Uint8Array(room - overhead))).toBe(true)
      expect(builder.byteLength).toBe(room)
      expect(builder.seal().bytes.length).toBe(room)
    }
  })

  it('is 51200 by default, as in the KPL', () => {
    const builder = new AggregateBuilder({ maxBytes: undefined })
    while (builder.tryAdd('k', new Uint8Array(100)));
    expect(builder.byteLength).toBeLessThanOrEqual(51_200)
    expect(builder.sizeWith('k', new Uint8Array(100))).toBeGreaterThan(51_200)
  })
})

describe('buffers', () => {
  it('are reused after release, and releasing twice or sealing anew does not share one between two aggregates', () => {
    const pool = new BufferPool({ bufferBytes: 51_200 })
    pool.release(pool.acquire())
    const builder = new AggregateBuilder({ pool })
    builder.tryAdd('k', bytes('first'))
    const first = builder.seal()
    const firstBuffer = first.bytes.buffer
    first.release()
    first.release()
    expect(pool.idle).toBe(1)
    builder.tryAdd('k', bytes('second'))
    first.release()
    expect(pool.idle).toBe(0)
    const second = builder.seal()
    expect(second.bytes.buffer).toBe(firstBuffer)
    builder.tryAdd('k', bytes('third'))
    const third = builder.seal()
    expect(third.bytes.buffer).not.toBe(firstBuffer)
    expect(Buffer.from(decodeAggregate(second.bytes)!.data(0)).toString()).toBe('second')
    expect(Buffer.from(decodeAggregate(third.bytes)!.data(0)).toString()).toBe('third')
  })

  it('begin small while the pool has none to reuse, and grow, whatever is put and in whichever steps', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 9000 }), { minLength: 1, maxLength: 40 }), fc.boolean(), (sizes, warm) => {
        const pool = new BufferPool({ bufferBytes: 51_200 })
        if (warm) pool.release(pool.acquire())
        const [growing, pooled] = [new AggregateBuilder({ pool }), new AggregateBuilder({ pool: warmPool() })]
        let largest = 0
        for (const [i, size] of sizes.entries()) {
          const added = growing.tryAdd(`key ${i}`, new Uint8Array(size).fill(i), i % 3 === 0 ? `${i}` : undefined)
          expect(pooled.tryAdd(`key ${i}`, new Uint8Array(size).fill(i), i % 3 === 0 ? `${i}` : undefined)).toBe(added)
          largest = Math.max(largest, growing.byteLength)
        }
        const sealed = growing.seal()
        const { byteLength } = sealed.bytes.buffer
        expect(Buffer.compare(sealed.bytes, pooled.seal().bytes)).toBe(0)
        if (!warm) expect(byteLength === 51_200 || byteLength <= Math.max(512, 2 * largest)).toBe(true)
        sealed.release()
        expect(pool.idle).toBe(byteLength === 51_200 ? 1 : 0)
      }),
    )
  })

  it.each([
    // Records of 1,000 bytes in one aggregate after the other, and how large a buffer each is found to have: of the first by doubling, then what the last one took and a quarter.
    { records: [2, 2, 2, 1, 1], buffers: [4078, 2548, 2548, 2548, 1288] },
    { records: [1, 2, 20, 1, 1], buffers: [1031, 4078, 51_200, 4096, 1288] },
    { records: [49, 1, 49], buffers: [51_200, 4096, 51_200] },
  ])('begin as large as the last one had to be, with a quarter more, up to 4 KiB: $records', ({ records, buffers }) => {
    const builder = new AggregateBuilder()
    const found = records.map((count) => {
      for (let i = 0; i < count; i++) expect(builder.tryAdd('k', new Uint8Array(1000))).toBe(true)
      return builder.seal().bufferBytes
    })
    expect(found).toEqual(buffers)
  })

  it('leaves nothing of an earlier aggregate in a later one', () => {
    const builder = new AggregateBuilder()
    builder.tryAdd('k'.repeat(200), new Uint8Array(5000).fill(1), '123')
    builder.seal().release()
    builder.tryAdd('a', bytes('x'))
    const fresh = new AggregateBuilder()
    fresh.tryAdd('a', bytes('x'))
    expect(builder.seal().bytes).toEqual(fresh.seal().bytes)
  })

  it('are taken on the first record only, and given back by discard', () => {
    const pool = new BufferPool({ bufferBytes: 100 })
    pool.release(pool.acquire())
    const builder = new AggregateBuilder({ maxBytes: 100, pool })
    expect(builder.tryAdd('k', new Uint8Array(200))).toBe(false)
    expect(pool.idle).toBe(1)
    builder.tryAdd('k', bytes('x'))
    expect(pool.idle).toBe(0)
    builder.discard()
    builder.discard()
    expect(pool.idle).toBe(1)
    expect(builder.count).toBe(0)
    expect(() => builder.seal()).toThrow(AggregationError)
  })

  it('finished together or shrunk hold the same bytes as one by one, and a released one is passed over', () => {
    const pool = new BufferPool({ bufferBytes: 4096 })
    const builder = new AggregateBuilder({ maxBytes: 4096, pool })
    const sealed = (i: number): SealedAggregate => {
      builder.tryAdd(`key-${i}`, new Uint8Array(i * 100).fill(i))
      builder.tryAdd('other', new Uint8Array(3000))
      return builder.seal()
    }
    const alone = Array.from({ length: 10 }, (_, i) => sealed(i).bytes.slice())
    const together = Array.from({ length: 10 }, (_, i) => sealed(i))
    together[3]!.shrink()
    together[4]!.release()
    finishAggregates(together)
    together[5]!.shrink()
    for (const [i, aggregate] of together.entries()) {
      expect(aggregate.byteLength).toBe(alone[i]!.length)
      if (i === 4) expect(() => aggregate.bytes).toThrow('released')
      else expect(Buffer.compare(aggregate.bytes, alone[i]!)).toBe(0)
    }
    // The buffers of what was shrunk and released, and no others.
    expect(pool.idle).toBe(3)
    expect(together[3]!.bufferBytes).toBe(alone[3]!.length)
    together[3]!.release()
    expect(pool.idle).toBe(3)
  })

  it('cannot be read through a released aggregate', () => {
    const builder = new AggregateBuilder()
    builder.tryAdd('k', bytes('x'))
    const sealed = builder.seal()
    sealed.release()
    expect(() => sealed.bytes).toThrow('released')
  })
})

describe('bad arguments get a message that names them', () => {
  it.each([
    [
      'maxBytes 63',
      () => new AggregateBuilder({ maxBytes: 63 }),
      '`maxBytes` must be a whole number from 64 to 10485760, got 63',
    ],
    ['maxBytes 10485761', () => new AggregateBuilder({ maxBytes: 10_485_761 }), 'got 10485761'],
    ['maxBytes 100.5', () => new AggregateBuilder({ maxBytes: 100.5 }), 'got 100.5'],
    ['maxBytes text', () => new AggregateBuilder({ maxBytes: '100' as never }), 'got "100"'],
    ['small pool', () => new AggregateBuilder({ pool: new BufferPool({ bufferBytes: 100 }) }), 'raise `bufferBytes`'],
    ['data text', () => new AggregateBuilder().tryAdd('k', 'text' as never), '`data` must be a Uint8Array, got "text"'],
    ['data words', () => new AggregateBuilder().tryAdd('k', new Uint16Array(2) as never), 'got Uint16Array'],
    ['data null', () => new AggregateBuilder().tryAdd('k', null as never), 'got null'],
    ['key number', () => new AggregateBuilder().tryAdd(7 as never, bytes('x')), '`partitionKey` must be a string, got 7'],
    ['hash bigint', () => new AggregateBuilder().tryAdd('k', bytes('x'), 7n as never), '`explicitHashKey` must be a string'],
    [
      'tag',
      () => new AggregateBuilder().tryAdd('k', bytes('x'), '7', [{ key: 'a' }, {} as never]),
      '`tags[1].key` must be a string',
    ],
    [
      'tag value',
      () => new AggregateBuilder().tryAdd('k', bytes('x'), '7', [{ key: 'a', value: 1 as never }]),
      '`tags[0].value`',
    ],
  ])('%s', (_, act, message) => {
    expect(act).toThrow(AggregationError)
    expect(act).toThrow(message)
    expect(act).toThrow(expect.objectContaining({ code: 'ERR_SHARDWISE_AGGREGATION' }))
  })

  it('and change nothing', () => {
    const builder = new AggregateBuilder()
    builder.tryAdd('k', bytes('x'))
    const { byteLength } = builder
    expect(() => builder.tryAdd('new', bytes('x'), 'new', [{} as never])).toThrow()
    expect(builder.byteLength).toBe(byteLength)
    expect(decodeAggregate(builder.seal().bytes)!.length).toBe(1)
  })
})

function warmPool(): BufferPool {
  const pool = new BufferPool({ bufferBytes: 51_200 })
  pool.release(pool.acquire())
  return pool
}
