import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KeyIndex } from './key-index.js'

/** Adds what is missing, and compares every answer with a Map's. */
function expectAsMap(rounds: readonly (readonly string[])[]): void {
  const index = new KeyIndex()
  const differing: string[] = []
  for (const keys of rounds) {
    const map = new Map<string, number>()
    for (const key of keys) {
      if (index.indexOf(key) !== (map.get(key) ?? -1)) differing.push(key)
      if (!map.has(key)) {
        index.add(key)
        map.set(key, map.size)
      }
      if (index.size !== map.size) differing.push(key)
    }
    for (const [key, at] of map) if (index.indexOf(key) !== at) differing.push(key)
    index.clear()
    expect([index.size, differing]).toEqual([0, []])
  }
}

const anyKey = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('', '0', '__proto__', 'constructor', 'a\ud800', 'a\udfff', 'a\ufffd'),
  // Few different ones, which come back.
  fc.nat({ max: 30 }).map((i) => `partition-${i}`),
  // Alike in all that is looked at first.
  fc.nat({ max: 200 }).map((i) => `${String(i).padStart(4, '0')}-of-the-same-kind`),
)

describe('is what a Map would be', () => {
  it('for any keys, and again after it was cleared', () => {
    fc.assert(
      fc.property(fc.array(fc.array(anyKey, { maxLength: 120 }), { maxLength: 3 }), (rounds) => expectAsMap(rounds)),
      { numRuns: 300 },
    )
  })

  const families: Readonly<Record<string, (i: number) => string>> = {
    'which differ at the end': (i) => `partition-${String(i).padStart(6, '0')}`,
    'which differ in the middle': (i) => `device/${i}/temperature`,
    'which differ at the start only': (i) => `${String(i).padStart(6, '0')}-orders-of-eu-west-1`,
    'which differ in one character of 256': (i) => `${'k'.repeat(100)}${String.fromCharCode(0x100 + i)}${'k'.repeat(155)}`,
    'which are numbers': (i) => String(i),
    'of growing length': (i) => 'k'.repeat(i % 300) + (i / 300).toFixed(0),
  }
  it.each(Object.keys(families))('for thousands of keys %s', (family) => {
    const keys = Array.from({ length: 5000 }, (_, i) => families[family]!(i))
    expectAsMap([keys.slice(0, 20), [...keys, ...keys.slice(0, 100)], keys.slice(2000, 2500)])
  })

  it('where a key is looked for and not added', () => {
    const index = new KeyIndex()
    index.indexOf('never added')
    expect(index.indexOf('a')).toBe(-1)
    index.add('a')
    expect([index.indexOf('never added'), index.indexOf('a'), index.size]).toEqual([-1, 0, 1])
  })
})
