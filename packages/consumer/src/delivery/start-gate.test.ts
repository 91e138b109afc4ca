import { expect, test } from 'vitest'
import { gateOf, type StartGate } from './start-gate.js'

test('shards of different streams with one id have gates of their own', async () => {
  const asked: string[] = []
  const gate: StartGate = {
    isOpen: (id) => asked.push(`isOpen ${id}`) > 0,
    opened: async (id) => void asked.push(`opened ${id}`),
    passUp: (id) => void asked.push(`passUp ${id}`),
  }
  const own = gateOf(gate, { leaseKey: '1:a:5:s1', shardId: 's1' })
  own.isOpen('s1')
  await own.opened('s1', new AbortController().signal)
  own.passUp!('s1')
  expect(asked).toEqual(['isOpen 1:a:5:s1', 'opened 1:a:5:s1', 'passUp 1:a:5:s1'])
  expect(gateOf(gate, { leaseKey: 's1', shardId: 's1' })).toBe(gate)
})
