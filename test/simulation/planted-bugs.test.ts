import { expect, test } from 'vitest'
import { placesOfBug } from './planted-bug.js'
import { PLANTED_BUGS } from './planted-bugs.js'

/** `npm run simulate -- --planted-bugs` plants them, and sees each of them caught. */
test('each planted bug has its one place in the sources', () => {
  for (const bug of PLANTED_BUGS) for (const { file } of placesOfBug(bug)) expect(file).toMatch(/\.ts$/)
  expect(new Set(PLANTED_BUGS.map(({ name }) => name)).size).toBe(PLANTED_BUGS.length)
  expect(PLANTED_BUGS.length).toBeGreaterThanOrEqual(25)
})
