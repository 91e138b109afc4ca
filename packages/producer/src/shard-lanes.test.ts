import { ShardMap } from '@shardwise/core/shard-map'
import { describe, expect, test } from 'vitest'
import { ShardLanes } from './shard-lanes.js'
import { entryOf, shardOf } from './testing/records.js'

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
