import { inspect } from 'node:util'
import { decodeAggregate } from '@shardwise/aggregation'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManualClock } from './clock.js'
import { type Codec, compressed, type DataKeys, type EncryptedOptions, encrypted, json, kmsDataKeys, text } from './codec.js'
import { FakeKms, named } from './testing/fake-kms.js'

const at = { stream: 'flights', partitionKey: 'ORD', headers: undefined }

type Fetching<T> = ReturnType<typeof encrypted<T>>

function codecOf(kms: FakeKms, options: Partial<EncryptedOptions> = {}): Fetching<string> {
  return encrypted(text(), { keys: kmsDataKeys({ kms, keyId: 'key-1' }), clock: new ManualClock(), ...options })
}

async function write<T>(codec: Fetching<T>, value: T, context = at): Promise<Uint8Array> {
  await codec.readyToEncode()
  return codec.encode(value, context)
}

async function read<T>(codec: Fetching<T>, data: Uint8Array, context = at): Promise<T> {
  return (await codec.prepareDecode(data, context))(data, context)
}

describe('encrypted', () => {
  it('brings every value back with a reader of its own, compressed or not; equal values look different', async () => {
    const kms = new FakeKms()
    const keys = kmsDataKeys({ kms, keyId: 'key-1' })
    const make = (inner: Codec<unknown>): Fetching<unknown> => encrypted(inner, { keys, context: { stream: 'flights' } })
    const pairs = [[make(json()), make(json())] as const, [make(compressed(json())), make(compressed(json()))] as const]
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), fc.string(), async (value, partitionKey) => {
        for (const [writer, reader] of pairs) {
          const one = await write(writer, value, { ...at, partitionKey })
          const two = await write(writer, value, { ...at, partitionKey })
          expect(Buffer.compare(one, two)).not.toBe(0)
          expect(JSON.stringify(await read(reader, one, { ...at, partitionKey }))).toBe(JSON.stringify(value))
        }
      }),
    )
    expect(kms.calls.filter((call) => call.startsWith('generate'))).toHaveLength(2)
    expect(kms.calls.filter((call) => call.startsWith('decrypt'))).toHaveLength(2)
  })

  it('says what it is in front, and is no aggregate', async () => {
    const written = await write(codecOf(new FakeKms()), 'delayed')
    expect([...written.subarray(0, 6)]).toEqual([0xf7, 0x53, 0x57, 0x43, 1, 16])
    expect(written.length).toBe(36 + 76 + 'delayed'.length)
    expect(decodeAggregate(written)).toBeUndefined()
    expect(Buffer.from(written).includes('delayed')).toBe(false)
  })

  it('tells of every changed bit, byte cut off and byte added', async () => {
    const kms = new FakeKms()
    const [writer, reader] = [codecOf(kms), codecOf(kms)]
    const written = Buffer.from(await write(writer, 'delayed by 40 minutes'))
    for (let i = 0; i < written.length; i++) {
      const damaged = Buffer.from(written)
      damaged[i]! ^= 1 << (i % 8)
      await expect(read(reader, damaged)).rejects.toThrow(/record/)
      await expect(read(reader, written.subarray(0, i))).rejects.toThrow(/record/)
    }
    await expect(read(reader, Buffer.concat([written, Buffer.alloc(1)]))).rejects.toThrow('does not authenticate')
    expect(await read(reader, written)).toBe('delayed by 40 minutes')
  })

  it('refuses a record under another partition key, and with another context', async () => {
    const kms = new FakeKms()
    const written = await write(codecOf(kms, { context: { stream: 'flights', team: 'a' } }), 'delayed')
    await expect(read(codecOf(kms, { context: { team: 'a', stream: 'flights' } }), written)).resolves.toBe('delayed')
    await expect(
      read(codecOf(kms, { context: { team: 'a', stream: 'flights' } }), written, { ...at, partitionKey: 'JFK' }),
    ).rejects.toThrow('written under another partition key or context')
    await expect(read(codecOf(kms, { context: { stream: 'gates' } }), written)).rejects.toThrow('InvalidCiphertextException')
    // Also where the key service looks at no context.
    const lax: DataKeys = {
      generate: (_) => kmsDataKeys({ kms, keyId: 'k' }).generate({}),
      decrypt: (w) => kmsDataKeys({ kms, keyId: 'k' }).decrypt(w, {}),
    }
    const own = await write(codecOf(kms, { keys: lax, context: { a: '1' } }), 'delayed')
    await expect(read(codecOf(kms, { keys: lax, context: { a: '2' } }), own)).rejects.toThrow('does not authenticate')
  })

  it('refuses what is not encrypted, unless told otherwise: it may be slipped in', async () => {
    const kms = new FakeKms()
    const plain = Buffer.from('old')
    const squeezed = compressed(text()).encode('x'.repeat(500), at)
    await expect(read(codecOf(kms), plain)).rejects.toThrow('the record is not encrypted: with `acceptPlain`')
    await expect(read(codecOf(kms), squeezed)).rejects.toThrow('the record is not encrypted')
    expect(() => codecOf(kms).decode(plain, at)).toThrow('the record is not encrypted')
    const lenient = codecOf(kms, { acceptPlain: true })
    expect(await read(lenient, plain)).toBe('old')
    expect(await read(lenient, await write(codecOf(kms), 'new'))).toBe('new')
    const both = encrypted(compressed(text(), { acceptPlain: true }), {
      keys: kmsDataKeys({ kms, keyId: 'key-1' }),
      acceptPlain: true,
    })
    for (const [data, value] of [
      [plain, 'old'],
      [squeezed, 'x'.repeat(500)],
      [await write(both, 'new'), 'new'],
    ] as const) {
      expect(await read(both, data)).toBe(value)
    }
  })

  it('compresses before it encrypts, and can be told no other way', () => {
    const inner = codecOf(new FakeKms())
    expect(() => compressed(inner)).toThrow(/`codec` must be compressed before it is encrypted/)
    expect(() => encrypted(inner, { keys: kmsDataKeys({ kms: new FakeKms(), keyId: 'k' }) })).toThrow(/encrypted once/)
  })

  it('shows nothing of keys and records: not by inspection, not in errors, and the key service’s bytes are overwritten', async () => {
    const kms = new FakeKms()
    const keys = kmsDataKeys({ kms, keyId: 'key-1' })
    const codec = encrypted(json<unknown>(), { keys })
    const secrets: string[] = []
    const spying: FakeKms['generateDataKey'] = kms.generateDataKey.bind(kms)
    kms.generateDataKey = async (input) => {
      const answer = await spying(input)
      secrets.push(Buffer.from(answer.Plaintext).toString('hex'))
      return answer
    }
    const writer = encrypted(text(), { keys })
    const written = await write(writer, 'hunter2 is the password')
    const error = (await read(codec, written).catch((caught: unknown) => caught)) as Error
    expect(error.message).toBe(
      'the record was decrypted, and the codec within has refused it (SyntaxError; its message may quote the record)',
    )
    const shown = inspect([codec, writer, error, keys], { depth: 20, showHidden: true })
    for (const secret of [...secrets, 'hunter2']) expect(shown).not.toContain(secret)
    expect(kms.handedOut.length).toBe(2)
    for (const key of kms.handedOut) expect(Buffer.from(key).equals(Buffer.alloc(32))).toBe(true)
  })

  it('decode alone needs the key to be there', async () => {
    const kms = new FakeKms()
    const reader = codecOf(kms)
    const written = await write(codecOf(kms), 'delayed')
    expect(() => reader.decode(written, at)).toThrow('the data key of the record is not here: await prepareDecode')
    await reader.prepareDecode(written, at)
    expect(reader.decode(written, at)).toBe('delayed')
  })

  it('passes on what a codec within must fetch', async () => {
    const inner: Codec<string> = {
      encode: (value) => Buffer.from(value),
      decode: () => expect.unreachable(),
      readyToEncode: () => Promise.reject(named('NoSchema')),
      prepareDecode: async (data) => (again) => `${Buffer.from(data)} is ${Buffer.from(again)}`,
    }
    const codec = encrypted(inner, { keys: kmsDataKeys({ kms: new FakeKms(), keyId: 'k' }) })
    await expect(codec.readyToEncode()).rejects.toThrow('NoSchema')
    const written = codec.encode('a', at)
    expect(await read(codec, written)).toBe('a is a')
    const damaged = Buffer.from(written).fill(0, written.length - 1)
    if (!damaged.equals(written)) await expect(read(codec, damaged)).rejects.toThrow('does not authenticate')
  })

  it.each<[object, RegExp]>([
    [{}, /`keys` must be an object with the functions generate, decrypt/],
    [{ keys: kmsDataKeys({ kms: new FakeKms(), keyId: 'k' }), context: { a: 1 } }, /`context` must be texts by name/],
    [{ keys: kmsDataKeys({ kms: new FakeKms(), keyId: 'k' }), maxKeyRecords: 2 ** 33 }, /`maxKeyRecords`/],
    [{ keys: kmsDataKeys({ kms: new FakeKms(), keyId: 'k' }), cipher: 'none' }, /`cipher`/],
    [{ keys: kmsDataKeys({ kms: new FakeKms(), keyId: 'k' }), onKeyFailure: 1 }, /`onKeyFailure`/],
  ])('options %#: are refused', (options, message) => {
    expect(() => encrypted(text(), options as never)).toThrow(message)
  })
})

describe('the key for writing', () => {
  it('is replaced at half of its age, records or bytes, in the background; old records stay readable', async () => {
    for (const limit of [{ maxKeyAgeMs: 10_000 }, { maxKeyRecords: 10 }, { maxKeyBytes: 10 }]) {
      const kms = new FakeKms()
      const clock = new ManualClock()
      const codec = codecOf(kms, { clock, ...limit })
      const written: Uint8Array[] = []
      for (let i = 0; i < 30; i++) {
        const pending = codec.readyToEncode()
        // Only the first has to wait.
        expect(pending === undefined).toBe(i > 0)
        await pending
        written.push(codec.encode('a', at))
        await clock.advanceAsync(1000)
      }
      expect(kms.calls.length, Object.keys(limit)[0]).toBeGreaterThanOrEqual(5)
      expect(kms.calls.length).toBeLessThanOrEqual(7)
      const reader = codecOf(kms)
      for (const data of written) expect(await read(reader, data)).toBe('a')
    }
  })

  it('serves on while the key service is away, for the other half; then nothing is written with it', async () => {
    const kms = new FakeKms()
    const clock = new ManualClock()
    const failures: unknown[] = []
    const codec = codecOf(kms, { clock, maxKeyAgeMs: 10_000, onKeyFailure: (error) => failures.push(error) })
    await codec.readyToEncode()
    kms.failing = named('ThrottlingException')
    for (let i = 0; i < 99; i++) {
      await clock.advanceAsync(100)
      expect(codec.readyToEncode()).toBeUndefined()
      codec.encode('a', at)
    }
    // Not asked with each record.
    expect(failures.length).toBeGreaterThanOrEqual(4)
    expect(failures.length).toBeLessThanOrEqual(6)
    await clock.advanceAsync(100)
    await expect(codec.readyToEncode()).rejects.toThrow('no data key can be had: ThrottlingException of the fake')
    expect(() => codec.encode('a', at)).toThrow('there is no data key')
    const calls = kms.calls.length
    await expect(codec.readyToEncode()).rejects.toThrow('ThrottlingException')
    expect(kms.calls.length).toBe(calls)
    kms.failing = undefined
    await clock.advanceAsync(1000)
    await codec.readyToEncode()
    codec.encode('a', at)
    expect(clock.pendingTimers).toBe(0)
  })

  it('is asked for once, by however many', async () => {
    const kms = new FakeKms()
    const codec = codecOf(kms)
    await Promise.all(Array.from({ length: 100 }, () => codec.readyToEncode()))
    expect(kms.calls).toEqual(['generate key-1'])
  })

  it.each<[string, DataKeys['generate'], RegExp]>([
    ['that never comes', () => new Promise(() => {}), /has not answered for 10000 ms/],
    ['that is too short', async () => ({ key: new Uint8Array(16), wrapped: new Uint8Array(1) }), /has 32 bytes, and this one 16/],
    [
      'without its wrapped form',
      async () => ({ key: new Uint8Array(32), wrapped: new Uint8Array(0) }),
      /1 to 4096 bytes, and this one 0/,
    ],
  ])('%s is none', async (_, generate, message) => {
    const clock = new ManualClock()
    const codec = encrypted(text(), { keys: { generate, decrypt: () => expect.unreachable() }, clock })
    const waiting = expect(codec.readyToEncode()).rejects.toThrow(message)
    await clock.advanceAsync(10_000)
    await waiting
  })
})

describe('the keys for reading', () => {
  it('are asked for once each, again when they are old, and forgotten when there are many', async () => {
    const kms = new FakeKms()
    const clock = new ManualClock()
    const reader = codecOf(kms, { clock, maxCachedKeys: 2, maxKeyAgeMs: 1000 })
    const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((value) => write(codecOf(kms), value)))
    kms.calls.length = 0
    await Promise.all([a, a, b, a].map((data) => read(reader, data!)))
    expect(kms.calls).toHaveLength(2)
    await read(reader, c!)
    await read(reader, b!)
    expect(kms.calls).toHaveLength(3)
    await read(reader, a!)
    expect(kms.calls).toHaveLength(4)
    clock.advance(1000)
    await read(reader, a!)
    expect(kms.calls).toHaveLength(5)
  })

  it('that was prepared serves its record even when the cache has lost it', async () => {
    const kms = new FakeKms()
    const reader = codecOf(kms, { maxCachedKeys: 1 })
    const [a, b] = await Promise.all(['a', 'b'].map((value) => write(codecOf(kms), value)))
    const decode = await reader.prepareDecode(a!, at)
    await reader.prepareDecode(b!, at)
    expect(decode(a!, at)).toBe('a')
  })

  it('“not now” is a rejection and asked again; “never” is what decoding throws, and asked once', async () => {
    const kms = new FakeKms()
    const reader = codecOf(kms)
    const written = await write(codecOf(kms), 'a')
    kms.failing = named('KMSInternalException')
    await expect(reader.prepareDecode(written, at)).rejects.toThrow('KMSInternalException')
    kms.failing = named('IncorrectKeyException')
    const decode = await reader.prepareDecode(written, at)
    expect(() => decode(written, at)).toThrow(/refuses the data key of the record \(IncorrectKeyException: /)
    kms.failing = undefined
    const calls = kms.calls.length
    await reader.prepareDecode(written, at)
    expect(kms.calls.length).toBe(calls)
  })

  it('never throws or rejects for bytes, whatever they are', async () => {
    const reader = encrypted(compressed(text()), {
      keys: kmsDataKeys({ kms: new FakeKms(), keyId: 'key-1' }),
      clock: new ManualClock(),
    })
    const frame = fc
      .uint8Array({ maxLength: 200 })
      .map((rest) => Buffer.concat([Buffer.from([0xf7, 0x53, 0x57, 0x43, 1, 16]), rest]))
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.uint8Array(), frame), async (data) => {
        const decode = await reader.prepareDecode(data, at)
        expect(() => decode(data, at)).toThrow(/record/)
      }),
      { numRuns: 1000 },
    )
  })
})

describe('kmsDataKeys', () => {
  it('names its key in each call; records of former keys are read, those of others are not', async () => {
    const kms = new FakeKms()
    const of = (keyId: string, formerKeyIds: string[] = []): Fetching<string> =>
      codecOf(kms, { keys: kmsDataKeys({ kms, keyId, formerKeyIds }), context: { stream: 'flights' } })
    const written = await write(of('key-1'), 'old')
    expect(await read(of('key-2', ['key-0', 'key-1']), written)).toBe('old')
    expect(kms.calls).toEqual(['generate key-1', 'decrypt key-2', 'decrypt key-0', 'decrypt key-1'])
    await expect(read(of('key-2'), written)).rejects.toThrow('IncorrectKeyException')
  })

  it.each<[object, RegExp]>([
    [{ keyId: 'k' }, /`kms` must be an object with the functions generateDataKey, decrypt/],
    [{ kms: new FakeKms() }, /`keyId` must be id, ARN or alias/],
    [{ kms: new FakeKms(), keyId: 'k', formerKeyIds: 'j' }, /`formerKeyIds` must be an array/],
    [{ kms: new FakeKms(), keyId: 'k', formerKeyIds: [''] }, /`formerKeyIds\[0\]`/],
  ])('options %#: are refused', (options, message) => {
    expect(() => kmsDataKeys(options as never)).toThrow(message)
  })

  it('tells when KMS gives nothing', async () => {
    const kms = { generateDataKey: async () => ({}), decrypt: async () => ({}) }
    const keys = kmsDataKeys({ kms, keyId: 'k' })
    await expect(keys.generate({})).rejects.toThrow('KMS gave no data key of k')
    await expect(keys.decrypt(new Uint8Array(1), {})).rejects.toThrow('KMS gave no data key for one of k')
  })
})
