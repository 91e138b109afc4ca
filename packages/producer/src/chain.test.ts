import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Chain, type Chained } from './chain.js'

interface Item extends Chained<Item> {
  readonly name: number
}

test('keeps the order of coming, whoever goes in between', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat({ max: 5 }), fc.boolean())), (steps) => {
      const chain = new Chain<Item>()
      const items = Array.from(
        { length: 6 },
        (_, name): Item => ({ name, before: undefined, after: undefined, isChained: false }),
      )
      const model = new Set<number>()
      for (const [name, goes] of steps) {
        if (goes) {
          chain.delete(items[name]!)
          model.delete(name)
        } else {
          chain.push(items[name]!)
          model.add(name)
        }
        const [forth, back]: [number[], number[]] = [[], []]
        for (let item = chain.first; item !== undefined; item = item.after) forth.push(item.name)
        for (let item = chain.last; item !== undefined; item = item.before) back.unshift(item.name)
        expect([forth, back, chain.size]).toEqual([[...model], [...model], model.size])
      }
    }),
  )
})
