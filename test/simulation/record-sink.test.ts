import { describe, expect, test } from 'vitest'
import { RecordSink } from './record-sink.js'
import type { Copy, ShardLog } from './stream-log.js'

function shardOf(count: number): Copy[] {
  const shard = { copies: [] as Copy[] } as unknown as ShardLog
  for (let index = 0; index < count; index++)
    shard.copies.push({ shard, index, place: `${100 + index}/0`, put: { id: `p${index}` }, isExpired: false } as unknown as Copy)
  return shard.copies
}

function sink(): { readonly sink: RecordSink; readonly violations: string[] } {
  const violations: string[] = []
  return { sink: new RecordSink((what) => violations.push(what)), violations }
}

describe('the sink', () => {
  test('has each record once and says how far it is', () => {
    const { sink: it, violations } = sink()
    const [a, b, c] = shardOf(3)
    expect(it.claim('s', 1)).toBe(undefined)
    it.commit('s', 1, [a!, b!])
    it.commit('s', 1, [c!])
    expect([violations, it.claim('s', 2)]).toEqual([[], { sequenceNumber: '102', subSequenceNumber: 0 }])
  })

  test('a transaction that arrives twice is made once', () => {
    const { sink: it, violations } = sink()
    const [a, b] = shardOf(2)
    it.claim('s', 1)
    const sent = [a!]
    it.commit('s', 1, sent)
    it.commit('s', 1, sent)
    it.commit('s', 1, [b!])
    expect(violations).toEqual([])
  })

  test.each<[string, (copies: Copy[]) => Copy[]]>([
    ['twice', ([a]) => [a!]],
    ['the sink goes on behind p1', ([, , c]) => [c!]],
  ])('sees what breaks the promise: %s', (said, second) => {
    const { sink: it, violations } = sink()
    const copies = shardOf(3)
    it.claim('s', 1)
    it.commit('s', 1, [copies[0]!])
    it.commit('s', 1, second(copies))
    expect(violations).toEqual([expect.stringContaining(said)])
  })

  test('refuses who has not its token', () => {
    const { sink: it } = sink()
    const [a] = shardOf(1)
    it.claim('s', 2)
    expect(() => it.claim('s', 1)).toThrow(expect.objectContaining({ name: 'FencedError' }))
    expect(() => it.commit('s', 1, [a!])).toThrow(expect.objectContaining({ name: 'FencedError' }))
  })
})
