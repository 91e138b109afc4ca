import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { AggregateBuilder, AggregationError, decodeAggregate, decodeAggregates, isAggregate } from './index.js'

const sealed = (message: string): Uint8Array => {
  const bytes = Buffer.from(message.replaceAll(' ', ''), 'hex')
  return Buffer.concat([Buffer.from('f3899ac2', 'hex'), bytes, createHash('md5').update(bytes).digest()])
}
const shown = (data: Uint8Array) =>
  [...(decodeAggregate(data) ?? [])].map((view) => [
    view.partitionKey,
    view.explicitHashKey,
    Buffer.from(view.data).toString('latin1'),
  ])

/** One key table entry 'a', and a record of it with data 'x'. */
const key = '0a 01 61'
const record = '1a 05 0800 1a0178'
const nested = (depth: number) => '53'.repeat(depth) + '54'.repeat(depth)

it('reads many as it reads one, whatever lies between them', () => {
  const valid = sealed(key + record)
  const spoilt = Uint8Array.from(valid, (byte, i) => (i === valid.length - 1 ? byte ^ 1 : byte))
  const kinds = [valid, Buffer.from('plain'), spoilt, sealed(`${key} 1a 05 0801 1a0178`), sealed(`${key} ${record} ${record}`)]
  for (let count = 0; count < 40; count++) {
    const datas = Array.from({ length: count }, (_, i) => kinds[(i * i + count) % kinds.length]!)
    const lengths = decodeAggregates(datas).map((decoded) => decoded?.length)
    expect(lengths).toEqual(datas.map((data) => decodeAggregate(data)?.length))
  }
})

describe('an ordinary record', () => {
  const valid = sealed(key + record)

  it.each([
    ['nothing', new Uint8Array(0)],
    ['text', Buffer.from('hello world, this is no aggregate')],
    ['the magic number alone', valid.subarray(0, 4)],
    ['no message, as in KCL', sealed('')],
    ['a magic number that is off by a bit', Uint8Array.from(valid, (byte, i) => (i === 3 ? byte ^ 1 : byte))],
    ['a wrong digest', Uint8Array.from(valid, (byte, i) => (i === valid.length - 1 ? byte ^ 1 : byte))],
    ['a message that was changed', Uint8Array.from(valid, (byte, i) => (i === 6 ? byte ^ 1 : byte))],
    ['a last byte cut off', valid.subarray(0, -1)],
    ['a byte too many', Buffer.concat([valid, Buffer.of(0)])],
    ['a length beyond the message', sealed(`${key} 1a 06 0800 1a0178`)],
    ['a length of 2^31 - 1', sealed(`${key} 1a ff ff ff ff 07 0800 1a0178`)],
    ['a length of 2^32 - 1', sealed(`${key} 1a ff ff ff ff 0f 0800 1a0178`)],
    ['a length in ten bytes', sealed(`${key} ${record} 0a ff ff ff ff ff ff ff ff ff 01`)],
    ['a length that never ends', sealed(`${key} ${record} 0a ${'80'.repeat(20)}`)],
    ['a length cut by the end', sealed(`${key} ${record} 0a 80`)],
    ['a tag without content', sealed(`${key} ${record} 0a`)],
    ['a tag cut by the end', sealed(`${key} ${record} 80`)],
    ['a tag of more than 32 bits', sealed(`${key} ${record} 80 80 80 80 10 00`)],
    ['a tag padded to six bytes', sealed(`${key} ${record} 8a 80 80 80 80 00 01 61`)],
    ['a length padded to six bytes', sealed(`${key} ${record} 0a 81 80 80 80 80 00 61`)],
    ['field number 0', sealed(`${key} ${record} 00 00`)],
    ['wire type 6', sealed(`${key} ${record} 2e 00`)],
    ['wire type 7', sealed(`${key} ${record} 2f 00`)],
    ['data beyond its record, within the message', sealed(`${key} 1a 05 0800 1a0278 2a00`)],
    ['no partition key index', sealed(`${key} 1a 03 1a0178`)],
    ['no data', sealed(`${key} 1a 02 0800`)],
    ['an empty record', sealed(`${key} 1a 00`)],
    ['no table for its key', sealed(record)],
    ['a partition key index one too high', sealed(`${key} 1a 05 0801 1a0178`)],
    ['a partition key index of 2^32, which is 0 in 32 bits', sealed(`${key} 1a 09 088080808010 1a0178`)],
    ['a partition key index of 2^64 - 1', sealed(`${key} 1a 0e 08ffffffffffffffffff01 1a0178`)],
    ['a partition key index of eleven bytes', sealed(`${key} 1a 0f 088080808080808080808000 1a0178`)],
    ['an explicit hash key index without a table', sealed(`${key} 1a 07 0800 1000 1a0178`)],
    ['an explicit hash key index one too high', sealed(`${key} 120137 1a 07 0800 1001 1a0178`)],
    ['one bad record after a good one', sealed(`${key} ${record} 1a 02 0800`)],
    ['a tag without its key', sealed(`${key} 1a 0a 0800 1a0178 22 03 120176`)],
    ['a tag beyond its record', sealed(`${key} 1a 07 0800 1a0178 22 05`)],
    ['a tag whose key is beyond it', sealed(`${key} 1a 0a 0800 1a0178 22 03 0a0576`)],
    ['a group that does not end', sealed(`${key} ${record} 53`)],
    ['a group ended by another number', sealed(`${key} ${record} 53 5c`)],
    ['an end without a group', sealed(`${key} ${record} 54`)],
    ['groups nested too deep', sealed(`${key} ${record} ${nested(101)}`)],
    ['a million open groups', sealed(`${key} ${record} ${'53'.repeat(1_000_000)}`)],
    ['a fixed64 cut by the end', sealed(`${key} ${record} 29 00000000000000`)],
    ['a fixed32 cut by the end', sealed(`${key} ${record} 2d 000000`)],
  ])('is one with %s', (_, data) => {
    expect(decodeAggregate(data)).toBeUndefined()
  })
})

describe('an aggregate', () => {
  it.each([
    ['one record', key + record, [['a', undefined, 'x']]],
    ['tables after records', record + key, [['a', undefined, 'x']]],
    ['data before the index', `${key} 1a 05 1a0178 0800`, [['a', undefined, 'x']]],
    ['an unknown varint', `${key} ${record} 28 ff01`, [['a', undefined, 'x']]],
    ['an unknown fixed64 and fixed32', `${key} 290000000000000000 ${record} 2d00000000`, [['a', undefined, 'x']]],
    ['unknown bytes', `${key} 2a 02 ffff ${record}`, [['a', undefined, 'x']]],
    ['unknown fields in the record', `${key} 1a 0b 2801 0800 32020000 1a0178`, [['a', undefined, 'x']]],
    ['an unknown group holding everything', `${key} 53 0a0162 0800 2a00 63 64 54 ${record}`, [['a', undefined, 'x']]],
    ['groups nested as deep as allowed', `${key} ${record} ${nested(100)}`, [['a', undefined, 'x']]],
    ['a known number with another wire type, which is unknown', `${key} 0801 1807 ${record}`, [['a', undefined, 'x']]],
    ['fields given twice: the last counts', '0a0161 0a0162 1a 0a 0800 1a0178 0801 1a0179', [['b', undefined, 'y']]],
    ['an index with needless zero bytes', `${key} 1a 07 08808000 1a0178`, [['a', undefined, 'x']]],
    ['a tag and a length padded to four bytes', `8a 80 80 00 81 80 80 00 61 ${record}`, [['a', undefined, 'x']]],
    ['duplicate table entries', '0a0161 0a0161 1a 05 0801 1a0178', [['a', undefined, 'x']]],
    ['an explicit hash key', `${key} 120137 1a 07 0800 1000 1a0178`, [['a', '7', 'x']]],
    ['empty data and an empty key', '0a00 1a 04 0800 1a00', [['', undefined, '']]],
    ['a byte order mark in a key', '0a04 efbbbf61 1a 04 0800 1a00', [['\ufeffa', undefined, '']]],
    [
      'a long key that begins with a byte order mark',
      `0a43 efbbbf${'61'.repeat(64)} 1a 04 0800 1a00`,
      [[`\ufeff${'a'.repeat(64)}`, undefined, '']],
    ],
    ['invalid UTF-8 in a key', '0a03 61ff62 1a 04 0800 1a00', [['a\ufffdb', undefined, '']]],
    ['no records', key, []],
    ['only unknown fields', '2800', []],
  ])('may have %s', (_, message, expected) => {
    const data = sealed(message)
    expect(decodeAggregate(data)).toBeDefined()
    expect(shown(data)).toEqual(expected)
  })

  it('reads tags, of which the last key and value count, amid unknown fields', () => {
    const tags = '22 0b 0a016b 120176 0a016c 2800 2203 0a016d 2204 0a00 1200'.replaceAll(' ', '')
    const body = `0800${tags}1a0178`
    const decoded = decodeAggregate(sealed(`${key}1a${(body.length / 2).toString(16).padStart(2, '0')}${body}`))!
    expect(decoded.tags(0)).toEqual([{ key: 'l', value: 'v' }, { key: 'm' }, { key: '', value: '' }])
  })

  it('gives views of the input, at its own offset in a larger buffer', () => {
    const data = sealed(key + record)
    const larger = new Uint8Array(1000)
    larger.set(data, 333)
    const view = decodeAggregate(larger.subarray(333, 333 + data.length))!.data(0)
    expect(view.buffer).toBe(larger.buffer)
    expect([view.byteOffset, view.length]).toEqual([333 + data.length - 17, 1])
  })

  it.each<{ name: string; of: (larger: Uint8Array<ArrayBuffer>) => Uint8Array }>([
    { name: 'a Uint8Array', of: (larger) => larger },
    { name: 'a Buffer', of: (larger) => Buffer.from(larger.buffer) },
    { name: 'a class of somebody’s own', of: (larger) => new (class Own extends Uint8Array {})(larger.buffer) },
  ])('of $name it gives what subarray gives', ({ of }) => {
    const data = sealed(key + record)
    const larger = new Uint8Array(1000)
    larger.set(data, 333)
    const bytes = of(larger).subarray(333, 333 + data.length)
    const view = decodeAggregate(bytes)!.data(0)
    const expected = bytes.subarray(data.length - 17, data.length - 16)
    expect(Object.getPrototypeOf(view)).toBe(Object.getPrototypeOf(expected))
    expect([view.buffer === larger.buffer, view.byteOffset, view.length]).toEqual([true, expected.byteOffset, 1])
    expect(view).toEqual(expected)
  })

  it.each([-1, 1, 0.5, Number.NaN, 2 ** 32])('has no record %d', (i) => {
    const decoded = decodeAggregate(sealed(key + record))!
    for (const read of ['partitionKey', 'explicitHashKey', 'data', 'tags'] as const) {
      expect(() => decoded[read](i)).toThrow(AggregationError)
    }
  })

  it('does not throw when its bytes are overwritten after decoding', () => {
    const data = new Uint8Array(sealed(`${key} 1a 0a 0800 1a0178 22 03 0a0176`))
    const decoded = decodeAggregate(data)!
    for (let byte = 0; byte < 256; byte++) {
      data.fill(byte)
      decoded.tags(0)
      decoded.data(0)
    }
    expect(decoded.length).toBe(1)
  })
})

describe('hostile sizes', () => {
  const heapGrowth = (act: () => unknown): number => {
    const before = process.memoryUsage()
    const kept = act()
    const after = process.memoryUsage()
    expect(kept).toBeDefined()
    return after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers
  }
  const repeated = (unit: string, times: number) => sealed(key + unit.replaceAll(' ', '').repeat(times))

  it.each([
    ['records of six bytes', repeated('1a 04 0800 1a00', 300_000), 300_000],
    ['table entries of two bytes', repeated('0a 00', 1_000_000), 0],
    ['empty tags', repeated('1a 08 0800 1a00 2202 0a00', 200_000), 200_000],
    ['unknown groups', repeated('53 54', 500_000), 0],
  ])('cost a small multiple of the input: %s', (_, data, length) => {
    const growth = heapGrowth(() => {
      const decoded = decodeAggregate(data)!
      expect(decoded.length).toBe(length)
      if (length > 0) decoded.partitionKey(length - 1)
      return decoded
    })
    expect(growth).toBeLessThan(data.length * 8 + 2_000_000)
  })

  it('a long key that a hundred thousand records share is decoded once', () => {
    const builder = new AggregateBuilder({ maxBytes: 10_000_000 })
    const long = 'é'.repeat(1_000_000)
    for (let i = 0; i < 100_000; i++) builder.tryAdd(long, new Uint8Array(1))
    const decoded = decodeAggregate(builder.seal().bytes)!
    let characters = 0
    for (const view of decoded) characters += view.partitionKey.length
    expect(characters).toBe(100_000 * 1_000_000)
  })
})

it('isAggregate looks at the magic number and the length only', () => {
  expect(isAggregate(sealed('00'))).toBe(true)
  expect(isAggregate(sealed(''))).toBe(false)
  expect(isAggregate(sealed('00').fill(0, 0, 1))).toBe(false)
  expect(isAggregate(new Uint8Array(0))).toBe(false)
})
