import { expect, test } from 'vitest'
import { ReadWatch } from './read-watch.js'

const IDLE = 500
const LIMIT = 120_500

/** Looks every three seconds, as renewals do. */
function looks(watch: ReadWatch, from: number, to: number): (number | undefined)[] {
  const seen: (number | undefined)[] = []
  for (let now = from; now <= to; now += 3_000) seen.push(watch.stalledMs(now))
  return seen
}

test('nobody waits for the source: never, however long', () => {
  const watch = new ReadWatch(IDLE)
  expect(looks(watch, 0, 1e6).every((each) => each === undefined)).toBe(true)
  watch.waits(0)
  watch.rest()
  watch.heard(5)
  expect(looks(watch, 0, 1e6).every((each) => each === undefined)).toBe(true)
})

test('waited for, and silent for too long', () => {
  const watch = new ReadWatch(IDLE)
  watch.waits(1_000)
  const seen = looks(watch, 1_000, 1_000 + LIMIT)
  expect(seen.every((each) => each === undefined)).toBe(true)
  expect(watch.stalledMs(1_001 + LIMIT)).toBe(LIMIT + 1)
})

test('each word of the source begins it anew', () => {
  const watch = new ReadWatch(IDLE)
  watch.waits(0)
  for (let now = 60_000; now < 1e6; now += 60_000) {
    expect(looks(watch, now - 60_000, now - 1).every((each) => each === undefined)).toBe(true)
    watch.heard(now)
  }
})

test('a process that did not run is not taken for a source that does not speak', () => {
  const watch = new ReadWatch(IDLE)
  watch.waits(0)
  // Stopped for ten minutes; renewals are the first to run again.
  expect([watch.stalledMs(600_000), watch.stalledMs(600_001)]).toEqual([undefined, undefined])
  watch.heard(600_002)
  expect(looks(watch, 600_003, 700_000).every((each) => each === undefined)).toBe(true)
})
