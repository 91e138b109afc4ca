import { ShardMap } from '@shardwise/core/shard-map'
import { describe, expect, test } from 'vitest'
import type { Entry } from './entry.js'
import { ShardLanes } from './shard-lanes.js'
import { entryOf, entryWith, recordOf, shardOf } from './testing/records.js'

const END = 2n ** 128n - 1n
const HALF = 2n ** 127n
const [LEFT, RIGHT, ALL] = [
  { start: 0n, end: HALF - 1n },
  { start: HALF, end: END },
  { start: 0n, end: END },
]

function mapOf(...shards: readonly [string, { start: bigint; end: bigint }][]): ShardMap {
  return ShardMap.from(
    shards.map(([ShardId, { start, end }]) => ({
      ShardId,
      HashKeyRange: { StartingHashKey: `${start}`, EndingHashKey: `${end}` },
      SequenceNumberRange: { StartingSequenceNumber: '1' },
    })),
  )
}

const [leftShard, rightShard] = [shardOf('l', LEFT), shardOf('r', RIGHT)]

describe('ShardLanes', () => {
  test('in order, one at a time: the next waits until the one before has settled', () => {
    const lanes = new ShardLanes({ ordering: 'perShard' })
    const [first, second] = [entryOf('p'), entryOf('p')]
    const lane = lanes.enqueue(first)
    lanes.enqueue(second)
    expect(lanes.opensAt(lane)).toBe(Number.NEGATIVE_INFINITY)
    expect(lanes.take(lane)).toBe(first)
    expect([lanes.opensAt(lane), lanes.isCrowded(lane)]).toEqual([Number.POSITIVE_INFINITY, true])
    lanes.settled(first)
    expect([lanes.opensAt(lane), lanes.head(lane)]).toEqual([Number.NEGATIVE_INFINITY, second])
  })

  test('not serial: the next may go, and a back-off holds the lane', () => {
    const lanes = new ShardLanes({ ordering: 'none' })
    const first = entryOf('p')
    const lane = lanes.enqueue(first)
    lanes.enqueue(entryOf('p'))
    lanes.take(lane)
    expect(lanes.opensAt(lane)).toBe(Number.NEGATIVE_INFINITY)
    lanes.settled(first)
    lanes.requeue(first, 50)
    expect([lanes.opensAt(lane), lanes.head(lane)]).toEqual([50, first])
  })

  test('after a split the children wait for what the parent has in flight', () => {
    const lanes = new ShardLanes({ ordering: 'perShard' })
    const [flying, queued] = [entryOf('p'), entryOf('p')]
    const parent = lanes.enqueue(flying)
    lanes.enqueue(queued)
    lanes.take(parent)
    expect(lanes.changeMap(mapOf(['l', LEFT], ['r', RIGHT]))).toEqual([queued])
    const child = lanes.enqueue(entryOf(leftShard))
    expect(lanes.opensAt(child)).toBe(Number.POSITIVE_INFINITY)
    lanes.settled(flying)
    expect(lanes.opensAt(child)).toBe(Number.NEGATIVE_INFINITY)
  })

  test('a split elsewhere holds nobody up, and a merge waits for both parents', () => {
    const lanes = new ShardLanes({ ordering: 'perShard' })
    const [left, right] = [entryOf(leftShard), entryOf(rightShard)]
    lanes.take(lanes.enqueue(left))
    lanes.take(lanes.enqueue(right))
    lanes.changeMap(mapOf(['l', LEFT], ['r2', RIGHT]))
    lanes.settled(left)
    expect(lanes.opensAt(lanes.enqueue(entryOf(leftShard)))).toBe(Number.NEGATIVE_INFINITY)
    lanes.changeMap(mapOf(['m', ALL]))
    const merged = lanes.enqueue(entryOf('m'))
    expect(lanes.opensAt(merged)).toBe(Number.POSITIVE_INFINITY)
    lanes.settled(right)
    expect(lanes.opensAt(merged)).toBe(Number.NEGATIVE_INFINITY)
  })

  test('a shard of the same id in another stream is another lane, and waits for what the old one has in flight', () => {
    const lanes = new ShardLanes({ ordering: 'perShard' })
    const [flying, queued] = [entryOf('l'), entryOf('l')]
    lanes.take(lanes.enqueue(flying))
    lanes.enqueue(queued)
    expect(lanes.changeMap(mapOf(['l', LEFT], ['r', RIGHT]))).toEqual([queued])
    const lane = lanes.enqueue(entryOf(leftShard))
    expect(lanes.opensAt(lane)).toBe(Number.POSITIVE_INFINITY)
    lanes.settled(flying)
    expect(lanes.opensAt(lane)).toBe(Number.NEGATIVE_INFINITY)
    const next = lanes.take(lane)
    lanes.settled(next)
    expect(lanes.queuedEntries).toBe(0)
  })

  test('a lane that comes back while its entry is in flight is a new one', () => {
    const lanes = new ShardLanes({ ordering: 'none' })
    const [flying, later] = [entryOf('p'), entryOf('p')]
    lanes.take(lanes.enqueue(flying))
    lanes.changeMap(undefined)
    lanes.changeMap(mapOf(['p', ALL]))
    const lane = lanes.enqueue(later)
    lanes.settled(flying)
    lanes.settled(lanes.take(lane))
    expect(lanes.queuedEntries).toBe(0)
  })

  test('what is put back goes first, in its order', () => {
    const lanes = new ShardLanes({ ordering: 'none' })
    const entries = [entryOf('p'), entryOf('p'), entryOf('p')]
    let lane = lanes.enqueue(entries[0]!)
    for (const entry of entries.slice(1)) lane = lanes.enqueue(entry)
    lanes.putBack([lanes.take(lane), lanes.take(lane)])
    expect([lanes.take(lane), lanes.take(lane), lanes.take(lane)]).toEqual(entries)
    expect(lanes.queuedEntries).toBe(0)
  })

  test('clears what is queued for a range and nothing else', () => {
    const lanes = new ShardLanes({ ordering: 'perShard' })
    const [left, right] = [entryOf(leftShard), entryOf(rightShard)]
    lanes.enqueue(left)
    lanes.enqueue(right)
    expect(lanes.clear(LEFT)).toEqual([left])
    expect([lanes.queuedEntries, lanes.clearAll()]).toEqual([1, [right]])
  })
})

describe('ShardLanes in order of each key', () => {
  const keyed = (): ShardLanes => new ShardLanes({ ordering: 'perKey' })
  const of = (key: string, shard = leftShard): Entry => entryOf(shard, { key })
  /** What may leave, in order. */
  const heads = (lanes: ShardLanes): Entry[] => {
    const taken: Entry[] = []
    for (let lane = lanes.turns.firstReady; lane !== undefined; lane = lanes.turns.firstReady) {
      while (lanes.head(lane) !== undefined) taken.push(lanes.take(lane))
      lanes.turns.sleep(lane, Number.POSITIVE_INFINITY)
    }
    return taken
  }

  test('several entries of a lane leave at a time, of one key the next when the one before has settled', () => {
    const lanes = keyed()
    const [a, b, a2, b2, c] = [of('a'), of('b'), of('a'), of('b'), of('c')]
    for (const entry of [a, b, a2, b2, c]) lanes.enqueue(entry)
    expect([lanes.queuedEntries, heads(lanes), lanes.queuedEntries]).toEqual([5, [a, b, c], 2])
    expect([heads(lanes), lanes.isAwaited(a), lanes.isAwaited(c)]).toEqual([[], true, false])
    lanes.enqueue(of('d'))
    lanes.settled(b)
    // It has waited longer than what came later.
    expect(heads(lanes).map((entry) => entry.records[0]!.partitionKey)).toEqual(['b', 'd'])
    lanes.settled(a)
    expect([heads(lanes), lanes.queuedEntries]).toEqual([[a2], 0])
  })

  test('what goes again as it is keeps its key, and the others of its lane wait for its back-off with it', () => {
    const lanes = keyed()
    const [first, second] = [of('a'), of('a')]
    const lane = lanes.enqueue(first)
    lanes.enqueue(second)
    lanes.take(lane)
    lanes.requeue(first, 50)
    expect([lanes.opensAt(lane), lanes.head(lane), lanes.firstBlocked(lane)]).toEqual([50, first, second])
  })

  test('after a split the next of a key goes to the child, and waits for what the parent has in flight; others do not', () => {
    const lanes = keyed()
    const parent = shardOf('p')
    const [flying, next, other] = [of('a', parent), of('a', parent), of('b', parent)]
    lanes.take(lanes.enqueue(flying))
    for (const entry of [next, other]) lanes.enqueue(entry)
    expect(new Set(lanes.changeMap(mapOf(['l', LEFT], ['r', RIGHT])))).toEqual(new Set([next, other]))
    const [child, free] = [of('a'), of('b')]
    for (const entry of [child, free]) lanes.enqueue(entry)
    expect(heads(lanes)).toEqual([free])
    // It comes back, and goes to the child itself: in front.
    const again = of('a')
    lanes.replace(flying, [again], 0)
    expect(heads(lanes)).toEqual([again])
    lanes.settled(again)
    expect([heads(lanes), lanes.queuedEntries]).toEqual([[child], 0])
  })

  test('of one that is dropped nothing is let past until it has been dealt with', () => {
    const lanes = keyed()
    const [first, second, third] = [of('a'), of('a'), of('a')]
    const lane = lanes.enqueue(first)
    for (const entry of [second, third]) lanes.enqueue(entry)
    lanes.take(lane)
    expect([lanes.firstBlocked(lane), lanes.dropBlocked(lane), lanes.queuedEntries]).toEqual([second, second, 1])
    lanes.settled(first)
    expect(heads(lanes)).toEqual([])
    lanes.settled(second)
    expect(heads(lanes)).toEqual([third])
  })

  test('what waited for a key that no successor holds is free', () => {
    const lanes = keyed()
    const both = entryWith([recordOf('a'), recordOf('b')], leftShard)
    const [a, b, again] = [of('a'), of('b'), of('a')]
    const lane = lanes.enqueue(both)
    for (const entry of [a, b]) lanes.enqueue(entry)
    lanes.take(lane)
    // The record of b has failed.
    lanes.replace(both, [again], 0)
    expect([lanes.take(lane), lanes.take(lane), lanes.head(lane)]).toEqual([again, b, undefined])
    for (const entry of [again, b]) lanes.settled(entry)
    expect([lanes.take(lane), lanes.isEmpty]).toEqual([a, false])
    lanes.settled(a)
    expect(lanes.isEmpty).toBe(true)
  })

  test('blocked entries behind one are found by its records, and replaced where they stand', () => {
    const lanes = keyed()
    const both = entryWith([recordOf('a'), recordOf('b')], leftShard)
    const [mixed, a, other] = [entryWith([recordOf('a'), recordOf('c')], leftShard), of('a'), of('c')]
    const lane = lanes.enqueue(both)
    for (const entry of [mixed, a, other]) lanes.enqueue(entry)
    lanes.take(lane)
    expect(lanes.behind(both, both.records)).toEqual([mixed, a])
    const rest = of('c')
    lanes.replace(mixed, [rest], 0)
    lanes.replace(a, [], 0)
    expect([heads(lanes), lanes.queuedEntries]).toEqual([[rest], 1])
    lanes.settled(rest)
    expect([heads(lanes), lanes.queuedEntries]).toEqual([[other], 0])
  })

  test('everything queued is given out, blocked or not, and leaves the order', () => {
    const lanes = keyed()
    const [flying, blocked, free] = [of('a'), of('a'), of('b', rightShard)]
    lanes.take(lanes.enqueue(flying))
    for (const entry of [blocked, free]) lanes.enqueue(entry)
    expect([new Set(lanes.clearAll()), lanes.queuedEntries]).toEqual([new Set([blocked, free]), 0])
    lanes.settled(flying)
    const next = of('a')
    lanes.enqueue(next)
    expect(heads(lanes)).toEqual([next])
  })

  test('ten thousand of a hot key go one by one, and others pass', { timeout: 20_000 }, () => {
    const lanes = keyed()
    for (let i = 0; i < 10_000; i++) lanes.enqueue(of('hot'))
    for (let i = 0; i < 10_000; i++) {
      const other = of(`other-${i}`)
      lanes.enqueue(other)
      const [hot, passing, ...none] = heads(lanes)
      if (passing !== other || none.length > 0) throw new Error(`the wrong ones leave at ${i}`)
      lanes.settled(hot!)
      lanes.settled(other)
    }
    expect(lanes.queuedEntries).toBe(0)
  })
})
