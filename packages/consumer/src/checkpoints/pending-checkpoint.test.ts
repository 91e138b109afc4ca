import { expect, test } from 'vitest'
import { type PendingCheckpoint, samePending } from './pending-checkpoint.js'
import { SHARD_END, sequencePosition } from './position.js'

const all: (PendingCheckpoint | undefined)[] = [
  undefined,
  { position: SHARD_END, state: undefined },
  { position: sequencePosition('7'), state: undefined },
  { position: sequencePosition('7', 1), state: undefined },
  { position: sequencePosition('8'), state: undefined },
  { position: sequencePosition('8'), state: new Uint8Array([1]) },
  { position: sequencePosition('8'), state: new Uint8Array([2]) },
  { position: sequencePosition('8'), state: new Uint8Array([1, 2]) },
]

test('each is the same as itself, copied, and as no other', () => {
  all.forEach((a, i) => {
    all.forEach((b, j) => {
      expect(samePending(a, structuredClone(b)), `${i} and ${j}`).toBe(i === j)
    })
  })
})
