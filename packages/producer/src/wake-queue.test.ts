import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Sleeper, WakeQueue } from './wake-queue.js'

const step = fc.record({
  which: fc.nat({ max: 19 }),
  wakeAt: fc.oneof(fc.nat({ max: 30 }), fc.constant(Number.POSITIVE_INFINITY)),
  deletes: fc.boolean(),
})

test('the first is always one of the earliest, whatever is set anew or taken out of the middle', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new WakeQueue<Sleeper>()
      const items = Array.from({ length: 20 }, (): Sleeper => ({ wakeAt: -1, wakeIndex: -1 }))
      const model = new Map<Sleeper, number>()
      for (const { which, wakeAt, deletes } of steps) {
        const item = items[which]!
        if (deletes) {
          queue.delete(item)
          model.delete(item)
        } else {
          queue.set(item, wakeAt)
          model.set(item, wakeAt)
        }
        expect(queue.first?.wakeAt).toBe(model.size === 0 ? undefined : Math.min(...model.values()))
      }
      const left = [...model.values()].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
      for (const wakeAt of left) {
        expect(queue.first!.wakeAt).toBe(wakeAt)
        queue.delete(queue.first!)
      }
      expect(queue.first).toBeUndefined()
    }),
  )
})
