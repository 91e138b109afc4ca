import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Lease } from './lease.js'
import { shareOf } from './lease-shares.js'
import { aLease } from './testing/lease-rows.js'

const leases = (prefix: string, count: number, streamId?: string): Lease[] =>
  Array.from({ length: count }, (_, i) => aLease(`${prefix}${i}`, streamId === undefined ? {} : { streamId }))

test('property: of workers that see the same, each free lease falls to exactly one, and counts come as near as they can', () => {
  const counts = fc.array(fc.nat(12), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(counts, fc.nat(40), (before, free) => {
      const owned = new Map(before.map((count, i) => [`w${i}`, leases(`${i}-`, count)]))
      const shares = [...owned.keys()].map((id) => shareOf(id, leases('free', free), owned).map(({ leaseKey }) => leaseKey))
      expect(shares.flat().sort()).toEqual(
        leases('free', free)
          .map(({ leaseKey }) => leaseKey)
          .sort(),
      )
      const after = before.map((count, i) => count + shares[i]!.length)
      // Who received anything has no more than anybody else and one.
      for (const [i, share] of shares.entries())
        if (share.length > 0) expect(after[i]! - Math.min(...after)).toBeLessThanOrEqual(1)
    }),
  )
})

test('a lease of a stream falls to who reads it', () => {
  const owned = new Map([
    ['a', leases('a', 3, 'one')],
    ['b', leases('b', 1, 'two')],
    ['me', []],
  ])
  const free = leases('free', 6, 'one')
  // As far as each knows: itself, and those that hold a lease of the stream.
  expect(shareOf('a', free, owned)).toHaveLength(6)
  expect(shareOf('b', free, owned)).toHaveLength(4)
  expect(shareOf('me', free, owned)).toHaveLength(4)
})
