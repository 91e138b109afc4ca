import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Outstanding } from './outstanding.js'

test('a closed epoch is settled exactly when all that entered before it closed has left', () => {
  const action = fc.oneof(fc.constant('enter' as const), fc.constant('close' as const), fc.nat({ max: 30 }))
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const outstanding = new Outstanding()
      const inside: number[] = []
      const closed: { epoch: number; before: number[] }[] = []
      let next = 0
      const epochOf = new Map<number, number>()
      for (const action of actions) {
        if (action === 'enter') {
          epochOf.set(next, outstanding.enter())
          inside.push(next++)
        } else if (action === 'close') closed.push({ before: [...inside], epoch: outstanding.close() })
        else if (inside.length > 0) outstanding.leave(epochOf.get(inside.splice(action % inside.length, 1)[0]!)!)
        expect(outstanding.total).toBe(inside.length)
        for (const { epoch, before } of closed) {
          expect(outstanding.isSettled(epoch)).toBe(before.every((item) => !inside.includes(item)))
        }
      }
    }),
  )
})
