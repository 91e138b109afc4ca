import zlib from 'node:zlib'
import { AggregateBuilder, decodeAggregate } from '@shardwise/aggregation'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bytes, type Codec, compressed, json } from './codec.js'

const context = { stream: 'flights', partitionKey: 'ORD', headers: undefined }
const hasZstd = 'zstdCompressSync' in zlib
const long = 'delayed '.repeat(100)

describe('compressed', () => {
  it.each(hasZstd ? (['gzip', 'zstd'] as const) : (['gzip'] as const))(
    '%s brings all bytes back, and never adds more than a frame',
    (algorithm) => {
      const codec = compressed(bytes(), { algorithm })
      const value = fc.oneof(
        fc.uint8Array({ maxLength: 2000 }),
        fc.string({ minLength: 200, maxLength: 2000 }).map((text) => Buffer.from(text)),
      )
      fc.assert(
        fc.property(value, (data) => {
          const written = codec.encode(data, context)
          expect(written.length).toBeLessThanOrEqual(data.length + 6)
          expect(Buffer.compare(codec.decode(written, context), data)).toBe(0)
          // From the middle of a larger buffer, as members of aggregates are.
          const within = Buffer.concat([Buffer.alloc(3), written, Buffer.alloc(3)]).subarray(3, 3 + written.length)
          expect(Buffer.compare(codec.decode(within, context), data)).toBe(0)
        }),
      )
    },
  )

  it('is smaller where that is to be had, and says by what', () => {
    const written = compressed(json<string>()).encode(long, context)
    expect(written.length).toBeLessThan(60)
    expect([...written.subarray(0, 6)]).toEqual([0xf7, 0x53, 0x57, 0x43, 1, 1])
    expect(JSON.parse(zlib.gunzipSync(written.subarray(10)).toString())).toBe(long)
  })

  it('cannot be taken for an aggregate, JSON, text, or what compresses and registers schemas; nor these for it', () => {
    const reader = compressed(bytes())
    const written = reader.encode(Buffer.from(long), context)
    expect(decodeAggregate(written)).toBeUndefined()
    expect(() => new TextDecoder('utf-8', { fatal: true }).decode(written.subarray(0, 4))).toThrow()
    const builder = new AggregateBuilder()
    builder.tryAdd('a', written)
    const aggregate = Buffer.from(builder.seal().bytes)
    const foreign = [
      aggregate,
      Buffer.from('{"a":1}'),
      zlib.gzipSync('x'),
      Buffer.from([0x28, 0xb5, 0x2f, 0xfd]),
      Buffer.from([3, 0]),
    ]
    for (const data of [...foreign, Buffer.alloc(0), written.subarray(0, 3)]) {
      expect(() => reader.decode(data, context)).toThrow('no frame of compressed()')
      expect(compressed(bytes(), { acceptPlain: true }).decode(data, context)).toBe(data)
    }
    // What a producer puts: the aggregate holds the frame.
    expect(Buffer.from(reader.decode(decodeAggregate(aggregate)!.data(0), context)).toString()).toBe(long)
  })

  describe('holds against bombs:', () => {
    const bomb = compressed(bytes(), { maxBytes: 64 * 2 ** 20 }).encode(new Uint8Array(40 * 2 ** 20), context)

    it('the frame says too much', () => {
      expect(bomb.length).toBeLessThan(100_000)
      expect(() => compressed(bytes()).decode(bomb, context)).toThrow(
        'the record decompresses to 41943040 bytes, and `maxBytes` of the codec is 16777216',
      )
    })

    it('the frame says little, and the bytes go on', () => {
      const lying = Buffer.from(bomb)
      lying.writeUInt32BE(1000, 6)
      const before = process.memoryUsage().arrayBuffers
      expect(() => compressed(bytes()).decode(lying, context)).toThrow(
        /cannot be decompressed to the 1000 bytes that its frame claims/,
      )
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * 2 ** 20)
    })

    it('stored as it is, yet too large', () => {
      const stored = compressed(bytes()).encode(Buffer.alloc(100, 'a'), context)
      expect(() => compressed(bytes(), { maxBytes: 99 }).decode(stored, context)).toThrow(
        '100 bytes, and `maxBytes` of the codec is 99',
      )
    })

    it('nothing is written that the same options do not read', () => {
      expect(() => compressed(bytes(), { maxBytes: 99 }).encode(Buffer.alloc(100), context)).toThrow(
        'has 100 bytes before compression',
      )
    })
  })

  it('tells of every damage, and never returns other bytes for it', () => {
    const codec = compressed(bytes())
    const data = Buffer.from(long)
    const written = Buffer.from(codec.encode(data, context))
    fc.assert(
      fc.property(fc.nat(written.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = Buffer.from(written)
        damaged[at]! ^= flip
        let read: Uint8Array
        try {
          read = codec.decode(damaged, context)
        } catch (error) {
          expect((error as Error).message).toMatch(/record/)
          return
        }
        // Bytes of gzip's own header that mean nothing (time, system), or "stored" for the codec's id, which only encryption can tell.
        if (at !== 5) expect(Buffer.compare(read, data)).toBe(0)
      }),
      { numRuns: 2000 },
    )
    for (let length = 0; length < written.length; length++)
      expect(() => codec.decode(written.subarray(0, length), context)).toThrow(/record/)
  })

  it.each([
    [Buffer.from([0xf7, 0x53, 0x57, 0x43, 2, 1]), /frame version 2, and this Shardwise reads 1.*Upgrade/],
    [Buffer.from([0xf7, 0x53, 0x57, 0x43, 1, 99]), /written by codec 99/],
    [Buffer.from([0xf7, 0x53, 0x57, 0x43, 1, 16]), /is encrypted: read it with encrypted/],
    [Buffer.from([0xf7, 0x53, 0x57, 0x43, 1, 1, 0]), /cut short/],
  ])('%s: says what it is, also with acceptPlain', (record, message) => {
    expect(() => compressed(bytes(), { acceptPlain: true }).decode(record, context)).toThrow(message)
  })

  it('refuses zstd where Node has none, and reads neither', () => {
    const record = Buffer.concat([Buffer.from([0xf7, 0x53, 0x57, 0x43, 1, 2, 0, 0, 0, 5]), Buffer.from('zstd!')])
    expect(() => compressed(bytes()).decode(record, context)).toThrow(
      hasZstd ? /cannot be decompressed/ : /zstd needs Node 22.15, 23.8/,
    )
    if (hasZstd) expect(compressed(bytes(), { algorithm: 'zstd' })).toBeDefined()
    else expect(() => compressed(bytes(), { algorithm: 'zstd' })).toThrow(/`algorithm` must be 'gzip' on Node 20.*zstd needs/)
  })

  it.each<[object, RegExp]>([
    [{ algorithm: 'brotli' }, /`algorithm` must be 'gzip' or 'zstd'/],
    [{ maxBytes: 0 }, /`maxBytes` must be a whole number from 1/],
    [{ level: 9 }, /`level`/],
    [{ acceptPlain: 'yes' }, /`acceptPlain` must be true or false/],
  ])('%o is refused', (options, message) => {
    expect(() => compressed(bytes(), options as never)).toThrow(message)
  })

  it('passes on what a codec within must fetch', async () => {
    const inner: Codec<string> = {
      encode: (value) => Buffer.from(value),
      decode: () => expect.unreachable(),
      readyToEncode: () => Promise.resolve(),
      prepareDecode: async (data) => (again) => `${Buffer.from(data)} is ${Buffer.from(again)}`,
    }
    const codec = compressed(inner)
    await expect(codec.readyToEncode!()).resolves.toBeUndefined()
    const written = codec.encode('a', context)
    const decode = await codec.prepareDecode!(written, context)
    expect(decode(written, context)).toBe('a is a')
    expect(compressed(bytes()).readyToEncode).toBeUndefined()
  })
})
