import { describe, expect, it } from 'vitest'
import { writeTrailers } from './body-digest.js'
import { AggregateBuilder, type DecodedAggregate, decodeAggregate } from './index.js'
import { AggregatedRecord } from './schema.js'

// FUZZ_SEED repeats a run, FUZZ_INPUTS lengthens it.
const SEED = Number(process.env.FUZZ_SEED ?? 20_261_121)
const INPUTS = Number(process.env.FUZZ_INPUTS ?? 1_000_000)
const TRAILER_BYTES = 16
const MAGIC_BYTES = 4
const ORACLE_EVERY = 10

/** mulberry32: small, fast, and the same on every machine. */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
const text = (value: string): Uint8Array => new TextEncoder().encode(value)

/** Small, so that most mutations hit structure, not payload. */
function seeds(): Uint8Array[] {
  const many = new AggregateBuilder({ maxBytes: 4096 })
  for (let i = 0; i < 12; i++) many.tryAdd(`k${i % 5}`, new Uint8Array(i * 3), i % 3 === 0 ? `${i}` : undefined)
  const tagged = new AggregateBuilder()
  tagged.tryAdd('a', text('x'), '7', [{ key: 't', value: 'v' }, { key: 'u' }])
  tagged.tryAdd('é', text(''), undefined, [{ key: '' }])
  const wide = new AggregateBuilder()
  for (let i = 0; i < 3; i++) wide.tryAdd('key '.repeat(40), new Uint8Array(150).fill(i))
  const aggregates = [many, tagged, wide].map((builder) => builder.seal().bytes.slice())
  // Fields that no writer of ours produces: unknown ones, groups, repeated and padded ones.
  const strange = Buffer.from('0a016153280154120137290102030405060708' + '1a0d2801080010001a017808801a0179' + '2d01020304', 'hex')
  const odd = Buffer.concat([aggregates[0]!.subarray(0, MAGIC_BYTES), strange, new Uint8Array(TRAILER_BYTES)])
  return [...aggregates, new Uint8Array(odd)]
}

/** One to four changes of the message in `work`; returns the new length of the whole, with room for a trailer. */
function mutate(work: Uint8Array, source: Uint8Array, others: readonly Uint8Array[], random: (below: number) => number): number {
  work.set(source)
  let end = source.length - TRAILER_BYTES
  for (let changes = 1 + random(4); changes > 0; changes--) {
    const at = MAGIC_BYTES + random(Math.max(1, end - MAGIC_BYTES))
    switch (random(7)) {
      case 0:
        work[at]! ^= 1 << random(8)
        break
      case 1:
        work[at] = random(256)
        break
      case 2:
        // Values that mean something: tags, continuation bytes, extremes.
        work[at] = [0x00, 0x01, 0x08, 0x0a, 0x10, 0x12, 0x1a, 0x22, 0x53, 0x54, 0x7f, 0x80, 0xff][random(13)]!
        break
      case 3:
        end = at
        break
      case 4: {
        const bytes = Math.min(1 + random(12), end - at)
        work.copyWithin(at, at + bytes, end)
        end -= Math.max(0, bytes)
        break
      }
      case 5: {
        const other = others[random(others.length)]!
        const from = MAGIC_BYTES + random(other.length - ENVELOPE)
        const bytes = Math.min(1 + random(40), other.length - TRAILER_BYTES - from, work.length - TRAILER_BYTES - end)
        if (bytes <= 0) break
        work.copyWithin(at + bytes, at, end)
        work.set(other.subarray(from, from + bytes), at)
        end += bytes
        break
      }
      default: {
        const to = MAGIC_BYTES + random(Math.max(1, end - MAGIC_BYTES))
        work.copyWithin(to, at, Math.min(end, at + 1 + random(20), at + end - to))
      }
    }
  }
  return end + TRAILER_BYTES
}
const ENVELOPE = MAGIC_BYTES + TRAILER_BYTES

/** Reads everything and throws if a view leaves the message. Returns a checksum so that nothing is optimised away. */
function readAll(decoded: DecodedAggregate, input: Uint8Array): number {
  let sum = decoded.length
  if (decoded.length * 6 > input.length) throw new Error(`${decoded.length} records in ${input.length} bytes`)
  for (let i = 0; i < decoded.length; i++) {
    const view = decoded.data(i)
    const start = view.byteOffset - input.byteOffset
    if (view.buffer !== input.buffer || start < MAGIC_BYTES || start + view.length > input.length - TRAILER_BYTES) {
      throw new Error(`data of record ${i} lies outside: ${start} + ${view.length}`)
    }
    sum += view.length + decoded.partitionKey(i).length + (decoded.explicitHashKey(i)?.length ?? 0)
    for (const tag of decoded.tags(i)) sum += tag.key.length + (tag.value?.length ?? 0)
  }
  return sum
}

interface OracleMessage {
  readonly partitionKeyTable: readonly string[]
  readonly explicitHashKeyTable: readonly string[]
  readonly records: readonly {
    readonly partitionKeyIndex: number
    readonly explicitHashKeyIndex?: number
    readonly data: Uint8Array
    readonly tags?: readonly { readonly key: string; readonly value?: string }[]
  }[]
}

/** What protobufjs makes of the message, under our rule that an index must exist. Undefined if it is invalid. */
function oracle(input: Uint8Array): readonly unknown[] | undefined {
  let message: OracleMessage
  try {
    const decoded = AggregatedRecord.decode(input.subarray(MAGIC_BYTES, -TRAILER_BYTES))
    message = AggregatedRecord.toObject(decoded, { longs: Number, arrays: true }) as OracleMessage
  } catch {
    return undefined
  }
  const { partitionKeyTable, explicitHashKeyTable, records } = message
  for (const { partitionKeyIndex, explicitHashKeyIndex = -1 } of records) {
    if (partitionKeyIndex >= partitionKeyTable.length || explicitHashKeyIndex >= explicitHashKeyTable.length) return undefined
  }
  return records.map((record) => [
    partitionKeyTable[record.partitionKeyIndex],
    record.explicitHashKeyIndex === undefined ? undefined : explicitHashKeyTable[record.explicitHashKeyIndex],
    hex(record.data),
    (record.tags ?? []).map((tag) => [tag.key, tag.value]),
  ])
}

const ours = (decoded: DecodedAggregate | undefined): readonly unknown[] | undefined =>
  decoded &&
  [...decoded].map((view) => [
    view.partitionKey,
    view.explicitHashKey,
    hex(view.data),
    view.tags.map((tag) => [tag.key, tag.value]),
  ])

/** protobufjs reads on where a varint has more than ten bytes or more than 64 bits, which protobuf forbids; we refuse. */
const overlongVarint = /(?:[89a-f][0-9a-f]){9}/

describe(`${INPUTS} mutated aggregates, seed ${SEED}`, () => {
  it('never throw, stay in bounds, and mean to protobufjs what they mean to us', { timeout: 120_000 }, () => {
    const random = generator(SEED)
    const sources = seeds()
    const work = new Uint8Array(2048)
    const outcomes = { accepted: 0, ordinary: 0, compared: 0, sum: 0 }
    for (let i = 0; i < INPUTS; i++) {
      const length = mutate(work, sources[random(sources.length)]!, sources, random)
      const input = work.subarray(0, length)
      // Most get a valid trailer, or hardly any would reach the parser.
      if (i % 16 !== 0) writeTrailers([input])
      try {
        const decoded = decodeAggregate(input)
        if (decoded === undefined) outcomes.ordinary++
        else {
          outcomes.accepted++
          outcomes.sum += readAll(decoded, input)
        }
        if (i % ORACLE_EVERY === 1 && i % 16 !== 0 && length > ENVELOPE && !overlongVarint.test(hex(input))) {
          outcomes.compared++
          const [mine, theirs] = [JSON.stringify(ours(decoded)), JSON.stringify(oracle(input))]
          if (mine !== theirs) throw new Error(`we read ${mine}, protobufjs ${theirs}`)
        }
      } catch (cause) {
        throw new Error(`FUZZ_SEED=${SEED}, input ${i}: ${hex(input)}`, { cause })
      }
    }
    // The mutations must be neither harmless nor hopeless, else this proves little.
    expect(outcomes.accepted).toBeGreaterThan(INPUTS / 20)
    expect(outcomes.ordinary).toBeGreaterThan(INPUTS / 20)
    expect(outcomes.compared).toBeGreaterThan(INPUTS / 20)
  })
})
