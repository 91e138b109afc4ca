import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { INVARIANTS } from './invariants.js'
import { placesOfBug } from './planted-bug.js'
import { PLANTED_BUGS } from './planted-bugs.js'
import { firstBroken, huntBug } from './planted-run.js'

test.each(PLANTED_BUGS)('$name: has its one place in the sources, and names the promises that it breaks', (bug) => {
  for (const { file } of placesOfBug(bug)) expect(file).toMatch(/\.ts$/)
  expect(bug.caughtBy.length).toBeGreaterThan(0)
  expect(Object.keys(INVARIANTS)).toEqual(expect.arrayContaining([...bug.caughtBy]))
})

test('there are many planted bugs, each once', () => {
  expect(new Set(PLANTED_BUGS.map(({ name }) => name)).size).toBe(PLANTED_BUGS.length)
  expect(PLANTED_BUGS.length).toBeGreaterThanOrEqual(44)
})

/** `npm run simulate -- --planted-bugs` hunts them all. */
test('one that two worlds are enough for is planted, and caught', { timeout: 120_000 }, async () => {
  const bug = PLANTED_BUGS.find(({ name }) => name === 'the producer lets entries of one key overtake each other')!
  const hunt = await huntBug(bug, 5, new AbortController().signal)
  expect(hunt.violation).toMatch(/ sends .* while .* of the same key is under way$/)
  expect(hunt.isCaught).toBe(true)
})

test('a world that breaks down is told of, and not waited for', { timeout: 120_000 }, async () => {
  const file = fileURLToPath(new URL('./verdict.ts', import.meta.url))
  const find = 'export function hasSettled(world: World): boolean {'
  const edit = { file, find, replace: `${find} throw new Error('planted')` }
  const broken = await firstBroken([3], [edit], new AbortController().signal)
  expect(broken?.violation).toMatch(/^this world breaks down: Error: planted\n/)
})
