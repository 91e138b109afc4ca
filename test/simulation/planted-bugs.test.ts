import { availableParallelism } from 'node:os'
import { describe, expect, test } from 'vitest'
import { PLANTED_BUGS, placeOfBug } from './planted-bugs.js'
import { catchBug } from './planted-run.js'

/** Worlds in which a bug must be caught. */
const SEEDS = 200

test('each can be planted in one place', () => {
  for (const bug of PLANTED_BUGS) expect(placeOfBug(bug)).toMatch(/\.ts$/)
  expect(PLANTED_BUGS.length).toBeGreaterThanOrEqual(12)
})

describe.runIf(process.env.SHARDWISE_PLANTED_BUGS === '1')('bugs that are planted', () => {
  const inTurns = { concurrent: availableParallelism() > 1, timeout: 900_000 }
  test.for(PLANTED_BUGS.map((bug) => [bug.name, bug] as const))('%s', inTurns, async ([, bug]) => {
    const report = await catchBug(bug, SEEDS)
    expect(report?.violations[0], `not caught in ${SEEDS} worlds`).toMatch(bug.caughtAs)
  })
})
