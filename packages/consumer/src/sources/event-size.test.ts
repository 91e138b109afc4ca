import { expect, it } from 'vitest'
import { EventSize } from './event-size.js'

const KIB = 1024
const MIB = 1024 * KIB

it('sets aside what a second brings at first, little for a quiet shard, and twice the last event for a busy one', () => {
  const size = new EventSize()
  expect(size.most).toBe(2 * MIB)
  for (let i = 0; i < 20; i++) size.brought(0)
  expect(size.most).toBe(16 * KIB)
  size.brought(100 * KIB)
  expect(size.most).toBe(200 * KIB)
  size.brought(0)
  expect(size.most).toBe(100 * KIB)
  size.brought(5 * MIB)
  expect(size.most).toBe(2 * MIB)
})
