import { decodeAggregate } from '@shardwise/aggregation'
import { effectiveHashKey, inRange, MAX_HASH_KEY } from '@shardwise/core/hash-key'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Entry } from './entry.js'
import { Fallout } from './fallout.js'
import { Packer } from './packer.js'
import { checkOptions, type ProducerOptions } from './producer-options.js'
import { recordKey } from './record-key.js'
import { RecordMaker } from './record-maker.js'
import { KnownStream } from './testing/known-stream.js'
import { aggregateOf, entryOf, recordOf, shardOf } from './testing/records.js'
import type { UserRecord } from './user-record.js'

const HALF = 2n ** 127n
const whole = shardOf('whole')
const [left, right] = [shardOf('left', { start: 0n, end: HALF - 1n }), shardOf('right', { start: HALF, end: MAX_HASH_KEY })]

function packerOf(options: Partial<ProducerOptions> = {}, stream = new KnownStream(left, right)): Packer {
  const packer = new Packer(checkOptions({ lingerMs: 100, ...options, stream: 'flights' }), stream.view)
  packer.adapt([])
  return packer
}

/** What was packed, as `shard: keys`. */
function told(entries: readonly Entry[]): string[] {
  return entries.map(({ shardId, records }) => `${shardId}: ${records.map((record) => record.partitionKey).join(' ')}`)
}

const at = (key: string, hashKey: bigint): UserRecord => recordOf(key, 10, hashKey.toString())

describe('Packer', () => {
  test.each<[string, Partial<ProducerOptions>, boolean, string[]]>([
    ['aggregates by shard, at its very edges', {}, false, ['left: a c', 'right: b d']],
    ['by key, each key alone', { aggregation: 'key' }, false, ['left: a', 'right: b', 'left: c', 'right: d']],
    ['with aggregation off it only predicts', { aggregation: 'off' }, false, ['left: a', 'right: b', 'left: c', 'right: d']],
    ['where keys are ignored it does neither', {}, true, ['undefined: a', 'undefined: b', 'undefined: c', 'undefined: d']],
  ])('%s, first and again', (_, options, auto, expected) => {
    const packer = packerOf(options)
    packer.auto = auto
    const records = [at('a', HALF - 1n), at('b', HALF), at('c', 0n), at('d', MAX_HASH_KEY)]
    const out: Entry[] = []
    for (const record of records) packer.add(record, 40, out)
    packer.closeAll(out)
    expect(told(out)).toEqual(expected)
    expect(new Set(out.map((entry) => entry.deadline))).toEqual(new Set([140]))
    // What was sent before has lingered enough.
    const again = packer.pack(records, 50, new Fallout())
    expect(told(again)).toEqual(expected)
    expect(new Set(again.map((entry) => entry.deadline))).toEqual(new Set([50]))
  })

  test('what may be joined is what is open: of another aggregator, not of the one before', () => {
    const stream = new KnownStream(left, right)
    const packer = packerOf({ aggregateMaxBytes: 2_000_000 }, stream)
    packer.add(recordOf('first'), 0, [])
    const before = packer.router!
    packer.adapt([])
    expect(packer.router).toBe(before)
    stream.traits = { maxRecordBytes: 1_500_000, distribution: 'partition-key' }
    packer.adapt([])
    expect(packer.router).toBeUndefined()
    packer.add(recordOf('first'), 0, [])
    expect(packer.router).not.toBe(before)
  })

  test.each<[string, Partial<ProducerOptions>, boolean]>([
    ['with aggregation off', { aggregation: 'off' }, false],
    ['by key', { aggregation: 'key' }, false],
    ['where keys are ignored', {}, true],
  ])('nothing joins an aggregate %s', (_, options, auto) => {
    const packer = packerOf(options)
    packer.add(recordOf('first'), 0, [])
    packer.auto = auto
    expect(packer.router).toBeUndefined()
  })

  test.each(['shard', 'key', 'off'] as const)(
    "aggregation '%s': what has tags is in an envelope with them, first and again",
    (aggregation) => {
      const packer = packerOf({ aggregation, aggregateMaxBytes: 200 })
      const maker = new RecordMaker<Uint8Array>(checkOptions({ stream: 'flights' }))
      // The last is too large for an aggregate with others.
      const records = ['a', 'b', 'a', 'c', 'a'].map((partitionKey, i) => {
        const headers = i === 3 ? undefined : { place: `${i}` }
        return maker.make({ partitionKey, explicitHashKey: '0', data: new Uint8Array(i === 4 ? 300 : 5), headers }, 'flights')
      })
      const out: Entry[] = []
      for (const record of records) packer.add(record, 0, out)
      packer.closeAll(out)
      for (const entries of [out, packer.pack(records, 0, new Fallout())]) {
        const found = entries.flatMap(({ records, wire, isAggregate }) => {
          const members = decodeAggregate(wire.Data)
          expect(isAggregate).toBe(members !== undefined)
          return records.map((record, i) => [record, members?.tags(i) ?? []] as const)
        })
        // Columns know ranks roughly.
        const unranked = (of: readonly UserRecord[]): unknown => new Set(of.map((record) => ({ ...record, rank: 0 })))
        expect(unranked(found.map(([record]) => record))).toEqual(unranked(records))
        for (const [record, tags] of found) expect(tags).toEqual(record.tags ?? [])
      }
    },
  )

  test('says when an aggregate is due, and closes no other', () => {
    const packer = packerOf()
    const out: Entry[] = []
    packer.add(at('a', 0n), 0, out)
    packer.add(at('b', HALF), 50, out)
    expect([packer.nextDue, packer.openAggregates]).toEqual([100, 2])
    packer.closeDue(100, out)
    expect([told(out), packer.nextDue, packer.openAggregates]).toEqual([['left: a'], 150, 1])
  })

  test.each<[ProducerOptions['aggregation'], string[], string[]]>([
    ['shard', ['left: a c a'], ['right: b']],
    ['key', ['left: a a'], ['right: b', 'left: c']],
    ['off', [], []],
  ])('by %s it closes on demand what a record would join', (aggregation, joined, others) => {
    const packer = packerOf({ aggregation })
    for (const record of [at('a', 1n), at('b', HALF), at('c', 2n), at('a', 1n)]) packer.add(record, 0, [])
    const out: Entry[] = []
    packer.closeOf(at('a', 1n), out)
    expect(told(out.splice(0))).toEqual(joined)
    packer.closeOf(at('a', 1n), out)
    packer.closeAll(out)
    expect(told(out)).toEqual(others)
  })

  test('before there is a map nothing is open', () => {
    const packer = new Packer(checkOptions({ stream: 'flights' }), new KnownStream().view)
    const out: Entry[] = []
    packer.closeDue(1000, out)
    packer.closeAll(out)
    expect([packer.nextDue, packer.openAggregates, out]).toEqual([undefined, 0, []])
  })

  test('completes what the old map predicted before it takes up the new one', () => {
    const stream = new KnownStream(whole)
    const packer = packerOf({}, stream)
    const out: Entry[] = []
    packer.add(at('a', 0n), 0, out)
    packer.add(at('b', HALF), 0, out)
    stream.list(left, right)
    packer.adapt(out)
    packer.add(at('c', 0n), 0, out)
    packer.add(at('d', HALF), 0, out)
    packer.closeAll(out)
    expect(told(out)).toEqual(['whole: a b', 'left: c', 'right: d'])
    expect(out[1]!.shard).toBe(stream.view.shard('left'))
  })

  test.each([100, 5000])(
    'after %i records of few keys each goes by the map that is, through reshards and a stream made anew',
    (times) => {
      const stream = new KnownStream(whole)
      const packer = packerOf({ aggregation: 'off' }, stream)
      const place = (key: string): Entry => {
        const out: Entry[] = []
        packer.add(recordOf(key), 0, out)
        return out[0]!
      }
      for (const shards of [[whole], [left, right], [shardOf('merged')], [left, right]]) {
        if (shards[0] === left) stream.forget()
        stream.list(...shards)
        packer.adapt([])
        for (let i = 0; i < times; i++) {
          const key = `key-${i % 20}`
          const { shard } = place(key)
          const expected = shards.find(({ range }) => inRange(effectiveHashKey(key, undefined), range))!
          if (shard !== stream.view.shard(expected.shardId)) expect([key, shard]).toEqual([key, expected])
        }
      }
    },
  )

  test.each<[string, number, number | undefined, number]>([
    ['as the option says', 1024 * 1024, 2000, 2000],
    ['by default as the KPL', 1024 * 1024, undefined, 51_200],
    ['never more than the stream takes with the longest key', 4096, undefined, 4096 - 1024],
  ])('an aggregate has at most so many bytes: %s', (_, maxRecordBytes, aggregateMaxBytes, most) => {
    const stream = new KnownStream(whole)
    const packer = packerOf({ aggregateMaxBytes }, stream)
    stream.traits = { maxRecordBytes, distribution: 'partition-key' }
    packer.adapt([])
    // The keys, of 256 characters of four bytes, are in the aggregate's key table once.
    const records = Array.from({ length: 600 }, () => recordOf('😀'.repeat(256), 100))
    const added: Entry[] = []
    for (const record of records) packer.add(record, 0, added)
    for (const entries of [added, packer.pack(records, 0, new Fallout()).slice(0, -1)]) {
      expect(entries.length).toBeGreaterThan(0)
      for (const { wire, bytes } of entries) {
        expect(wire.Data.byteLength).toBeLessThanOrEqual(most)
        expect(wire.Data.byteLength).toBeGreaterThan(most - 120)
        expect(bytes).toBeLessThanOrEqual(maxRecordBytes)
      }
    }
  })

  test.each<[string, (stream: KnownStream) => Entry, boolean, (stream: KnownStream) => void, boolean]>([
    ['for an open shard', () => aggregateOf(left, 0n, 1n), false, () => {}, true],
    ['for one that has closed', () => aggregateOf(whole, 0n, 1n), false, () => {}, false],
    ['for one of the same name in another stream', () => aggregateOf(shardOf('left'), 0n, 1n), false, () => {}, false],
    ['for a shard, now that keys are ignored', () => aggregateOf(left, 0n, 1n), true, () => {}, false],
    ['for no shard, while keys are ignored', () => entryOf(undefined), true, () => {}, true],
    ['for no shard, now that keys count', () => entryOf(undefined), false, () => {}, false],
    [
      'for an open shard, but the stream is lost from view',
      () => aggregateOf(left, 0n, 1n),
      false,
      (stream) => stream.forget(),
      false,
    ],
    ['for no shard, and the stream is lost from view', () => entryOf(undefined), true, (stream) => stream.forget(), false],
  ])('an entry is current: %s', (_, make, auto, change, current) => {
    const stream = new KnownStream(whole)
    stream.list(left, right)
    const packer = packerOf({}, stream)
    packer.auto = auto
    change(stream)
    expect(packer.isCurrent(make(stream))).toBe(current)
  })

  test('every record goes once, in the order of its shard (by key: of its key), in an entry whose shard holds it', () => {
    const record = fc.record({
      key: fc.string({ minLength: 1, maxLength: 5 }),
      size: fc.integer({ min: 1, max: 150 }),
      hashKey: fc.option(fc.bigInt({ min: 0n, max: MAX_HASH_KEY }), { nil: undefined }),
    })
    const way = fc.constantFrom('add' as const, 'pack' as const)
    fc.assert(
      fc.property(
        fc.array(record, { maxLength: 40 }),
        way,
        fc.constantFrom('shard' as const, 'key' as const, 'off' as const),
        (inputs, way, aggregation) => {
          const packer = packerOf({ aggregation, aggregateMaxBytes: 200, aggregateMaxRecords: 4 })
          const records = inputs.map(({ key, size, hashKey }, rank) =>
            Object.assign(recordOf(key, size, hashKey?.toString()), { rank }),
          )
          const out: Entry[] = way === 'pack' ? packer.pack(records, 0, new Fallout()) : []
          if (way === 'add') for (const each of records) packer.add(each, 0, out)
          packer.closeAll(out)
          const hashKeyOf = (each: UserRecord): bigint => effectiveHashKey(each.partitionKey, each.explicitHashKey)
          for (const shard of [left, right]) {
            const packed = out.filter((entry) => entry.shardId === shard.shardId).flatMap((entry) => entry.records)
            const due = records.filter((each) => inRange(hashKeyOf(each), shard.range))
            const sorted = (of: UserRecord[]): UserRecord[] =>
              aggregation === 'key' ? of.sort((a, b) => recordKey(a).localeCompare(recordKey(b))) : of
            const ranks = packed.map((each) => each.rank)
            // Of those that were columns it is known roughly, but for their order.
            if (aggregation !== 'key') expect(ranks).toEqual([...new Set(ranks)].sort((a, b) => a - b))
            const unranked = (of: UserRecord[]): unknown[] => sorted(of).map((each) => ({ ...each, rank: 0 }))
            expect(unranked(packed)).toEqual(unranked(due))
          }
          expect(out.flatMap((entry) => entry.records)).toHaveLength(records.length)
        },
      ),
    )
  })
})
