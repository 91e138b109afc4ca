import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { PendingCheckpoint } from '../checkpoints/pending-checkpoint.js'
import { comparePositions, type Position, sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import type { LeaseProgress } from './lease-progress.js'
import { renewChange } from './lease-writes.js'
import { aLease } from './testing/lease-rows.js'
import { WantedProgress } from './wanted-progress.js'

const at = (number: number): Position => sequencePosition(`${number}`)
const prepared = (number: number, ...state: number[]): PendingCheckpoint => ({
  position: at(number),
  state: state.length > 0 ? new Uint8Array(state) : undefined,
})
const ROW = { checkpoint: at(5), pendingCheckpoint: prepared(7, 1) }

test.each<{ what: string; act: (wanted: WantedProgress) => unknown; missing: LeaseProgress | undefined; changes?: number }>([
  { what: 'nothing yet', act: () => {}, missing: undefined, changes: 0 },
  { what: 'a checkpoint before', act: (wanted) => wanted.advance(at(4)), missing: undefined, changes: 0 },
  { what: 'the same checkpoint', act: (wanted) => wanted.advance(at(5)), missing: undefined, changes: 0 },
  { what: 'a later one', act: (wanted) => wanted.advance(at(6)), missing: { checkpoint: at(6), pending: null } },
  { what: 'the same, explicitly', act: (wanted) => wanted.set(at(5), null), missing: { pending: null } },
  { what: 'all as it is', act: (wanted) => wanted.set(at(5), prepared(7, 1)), missing: undefined, changes: 0 },
  { what: 'another state', act: (wanted) => wanted.set(at(5), prepared(7, 2)), missing: { pending: prepared(7, 2) } },
  { what: 'no state', act: (wanted) => wanted.set(at(5), prepared(7)), missing: { pending: prepared(7) } },
  {
    what: 'one prepared beyond a later checkpoint',
    act: (wanted) => wanted.set(at(6), prepared(7, 1)),
    missing: { checkpoint: at(6), pending: prepared(7, 1) },
  },
  {
    what: 'a checkpoint, and then one before it',
    act: (wanted) => [wanted.advance(at(9)), wanted.set(at(8), prepared(9))],
    missing: { checkpoint: at(9), pending: prepared(9) },
    changes: 2,
  },
])('wanted: $what', ({ act, missing, changes = 1 }) => {
  const wanted = new WantedProgress(ROW)
  act(wanted)
  expect(wanted.missingIn(ROW)).toEqual(missing)
  expect(wanted.version).toBe(changes)
})

test('property: a write of what is missing leaves nothing missing, from any row that was wanted before, and never goes back', () => {
  const position = fc.nat(20).map((n) => at(n))
  const state = fc.option(fc.uint8Array({ minLength: 1, maxLength: 2 }), { nil: undefined })
  const pending = fc.option(fc.record({ position, state }), { nil: null })
  const step = fc.record({ position, pending, explicit: fc.boolean(), writes: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      let row = aLease('s1', { leaseOwner: 'me', checkpoint: TRIM_HORIZON })
      const wanted = new WantedProgress(row)
      for (const each of steps) {
        if (each.explicit) wanted.set(each.position, each.pending)
        else wanted.advance(each.position)
        if (!each.writes) continue
        const before = row.checkpoint
        row = { ...row, ...renewChange(row, 'me', wanted.missingIn(row) ?? {}).set }
        expect(wanted.missingIn(row)).toBe(undefined)
        expect(comparePositions(row.checkpoint, before)).toBeGreaterThanOrEqual(0)
      }
    }),
  )
})
