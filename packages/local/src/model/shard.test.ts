import { describe, expect, it } from 'vitest'
import { parseSequenceNumber } from './sequence-number.js'
import { resolveShardId, Shard, uniformRanges } from './shard.js'

const START = 1_700_000_000_000
const shard = (): Shard =>
  new Shard({ index: 7, range: { start: 0n, end: 9n }, beganAt: START, beganSecond: Math.floor(START / 1000) })
const record = (text: string) => ({ partitionKey: 'k', data: Buffer.from(text), size: text.length + 1, encrypted: false })
const texts = (kept: Shard): string[] => {
  const found: string[] = []
  for (let position = kept.firstPosition; position < kept.nextPosition; position++) {
    found.push(Buffer.from(kept.recordAt(position)!.data).toString())
  }
  return found
}

describe('Shard', () => {
  it('numbers records upwards between its starting and ending sequence number', () => {
    const kept = shard()
    const numbers = [0, 0, 1, 2500, 2500].map((offset) => kept.append(record('x'), START + offset).sequenceNumber)
    kept.close(START + 3000)
    const { StartingSequenceNumber, EndingSequenceNumber } = kept.listing().SequenceNumberRange!
    const all = [StartingSequenceNumber!, ...numbers, EndingSequenceNumber!]
    expect([...all].sort()).toEqual(all)
    expect(new Set(all).size).toBe(all.length)
    expect(all.map((text) => parseSequenceNumber(text)!.shardIndex)).toEqual(all.map(() => 7))
  })

  it('never lets arrival times decrease, whatever the wall clock does', () => {
    const kept = shard()
    expect([5, 3, 6].map((offset) => kept.append(record('x'), START + offset).arrivedAt - START)).toEqual([5, 5, 6])
    expect(kept.lastArrivedAt - START).toBe(6)
  })

  it('trims from the front, keeps positions, and forgets in bulk', () => {
    const kept = shard()
    for (let i = 0; i < 10; i++) kept.append(record(String(i)), START + i)
    kept.trim(START + 3)
    expect(texts(kept)).toEqual(['3', '4', '5', '6', '7', '8', '9'])
    expect(kept.firstPosition).toBe(4)
    expect(kept.recordAt(3)).toBeUndefined()
    kept.trim(START + 3)
    kept.trim(START + 8)
    expect(texts(kept)).toEqual(['8', '9'])
    kept.append(record('new'), START + 20)
    expect(texts(kept)).toEqual(['8', '9', 'new'])
    kept.trim(START + 1000)
    expect(texts(kept)).toEqual([])
    expect([kept.firstPosition, kept.nextPosition]).toEqual([12, 12])
    kept.append(record('last'), START + 2000)
    expect(texts(kept)).toEqual(['last'])
  })

  it('finds positions by time and by number', () => {
    const kept = shard()
    const stored = [10, 20, 20, 30].map((offset) => kept.append(record('x'), START + offset))
    expect([0, 10, 11, 20, 30, 31].map((offset) => kept.positionAtTime(START + offset))).toEqual([1, 1, 2, 2, 4, 5])
    const at = (text: string): number => kept.positionAtNumber(text, parseSequenceNumber(text)!)
    expect(stored.map((item) => at(item.sequenceNumber))).toEqual([1, 2, 3, 4])
    // A number between the second record's and the third's.
    expect(at(String(BigInt(stored[1]!.sequenceNumber) + (1n << 36n)))).toBe(3)
    expect(at(kept.startingSequenceNumber)).toBe(0)
  })
})

describe('uniformRanges', () => {
  it.each([1, 2, 3, 4, 7, 100])('cuts the hash space into %i parts without gap', (count) => {
    const ranges = uniformRanges(count)
    expect(ranges).toHaveLength(count)
    expect(ranges[0]!.start).toBe(0n)
    expect(ranges.at(-1)!.end).toBe(2n ** 128n - 1n)
    for (let i = 1; i < count; i++) expect(ranges[i]!.start).toBe(ranges[i - 1]!.end + 1n)
  })

  it('cuts where the service cuts', () => {
    expect(uniformRanges(3).map((range) => range.end.toString())).toEqual([
      '113427455640312821154458202477256070484',
      '226854911280625642308916404954512140969',
      '340282366920938463463374607431768211455',
    ])
    expect(uniformRanges(2)[0]!.end).toBe(2n ** 127n - 1n)
  })
})

describe('resolveShardId', () => {
  it.each([
    ['shardId-000000000003', 'shardId-000000000003'],
    ['shardId-3', 'shardId-000000000003'],
    ['shard-3', 'shardId-000000000003'],
    ['3', 'shardId-000000000003'],
    ['shardId-', undefined],
    ['shardId-3e1', undefined],
    ['shardId-2147483648', undefined],
    ['abc', undefined],
  ])('%s -> %s', (given, expected) => expect(resolveShardId(given)).toBe(expected))
})
