import { expect, test } from 'vitest'
import { isTrusted } from './trust-window.js'

const SENT = { now: 1_000, wallTime: 1e12 }

test.each([
  ['at once', 0, 0, true],
  ['shortly before the deadline', 8_999, 8_999, true],
  ['at the deadline: failover time less a tenth', 9_000, 9_000, false],
  ['long after', 1e9, 1e9, false],
  // It may have been set back while the machine was suspended, and hides that.
  ['when the wall clock was set back', 5_000, -60_000, false],
  ['when the wall clock was set back by a second', 5_000, 4_000, false],
  ['when the wall clock is a little behind', 5_000, 4_001, true],
  ['when the wall clock is a little ahead', 5_000, 5_999, true],
  ['when the machine was suspended for a second', 5_000, 6_000, false],
  ['when it was suspended for less, and that time is over', 8_500, 9_001, false],
])('a write sent %s', (_name, elapsed, wallElapsed, trusted) => {
  expect(isTrusted(SENT, { now: SENT.now + elapsed, wallTime: SENT.wallTime + wallElapsed }, 10_000)).toBe(trusted)
})
