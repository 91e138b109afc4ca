import { expect, it } from 'vitest'
import { memoryInUse } from './memory-in-use.js'

const MIB = 1024 * 1024

it('counts buffers that somebody has, and none that nobody has', () => {
  const before = memoryInUse()
  const buffers = Array.from({ length: 600 }, () => new Uint8Array(51_200))
  expect(memoryInUse() - before).toBeGreaterThan(25 * MIB)
  buffers.splice(0)
  expect(memoryInUse() - before).toBeLessThan(3 * MIB)
})
