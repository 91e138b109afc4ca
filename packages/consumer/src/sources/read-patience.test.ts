import { expect, it } from 'vitest'
import { ReadPatience } from './read-patience.js'

it('gives up on an answer after 10 s, then 20, then 30, and then begins anew', () => {
  const patience = new ReadPatience()
  const waited = [patience.ms]
  for (let n = 0; n < 4; n++) {
    patience.timedOut()
    waited.push(patience.ms)
  }
  expect(waited).toEqual([10_000, 20_000, 30_000, 10_000, 20_000])
})

it('gives up on an answer that does not begin after 10 s, but for the tenth in a row', () => {
  const patience = new ReadPatience()
  const waited: number[] = []
  for (let n = 0; n < 20; n++) {
    expect(patience.ms).toBeGreaterThanOrEqual(patience.firstByteMs)
    waited.push(patience.firstByteMs)
    patience.timedOut()
  }
  const nine = Array.from({ length: 9 }, () => 10_000)
  expect(waited).toEqual([...nine, 30_000, ...nine, 30_000])
  for (let n = 0; n < 5; n++) patience.timedOut()
  patience.answered(100)
  for (let n = 0; n < 9; n++) patience.timedOut()
  expect(patience.firstByteMs).toBe(30_000)
})

it.each([12_000, 28_000])('reads from a service whose answers begin after %i ms, until they are quick again', (beginsMs) => {
  const patience = new ReadPatience()
  let cut = 0
  const read = (ms: number): void => {
    while (ms > patience.firstByteMs) {
      cut++
      patience.timedOut()
    }
    patience.answered(ms)
  }
  for (let n = 0; n < 50; n++) read(n % 2 === 0 ? beginsMs : 100)
  expect(cut).toBe(9)
  // The last one was.
  for (let n = 0; n < 18; n++) read(100)
  expect(patience.firstByteMs).toBe(30_000)
  read(100)
  expect(patience.firstByteMs).toBe(10_000)
})

it('an answer that comes slowly changes nothing for one that does not begin', () => {
  const patience = new ReadPatience()
  patience.answered(25_000)
  expect([patience.ms, patience.firstByteMs]).toEqual([30_000, 10_000])
})

it('waits three times as long as an answer took, and is quick again after quick ones', () => {
  const patience = new ReadPatience()
  patience.answered(200)
  expect(patience.ms).toBe(10_000)
  patience.answered(7000)
  expect(patience.ms).toBe(21_000)
  patience.answered(60_000)
  expect(patience.ms).toBe(30_000)
  for (let n = 0; n < 19; n++) patience.answered(200)
  expect(patience.ms).toBe(30_000)
  patience.answered(200)
  expect(patience.ms).toBe(10_000)
})

it.each([11_000, 19_000, 29_000])('reads through a network on which each large answer takes %i ms', (tookMs) => {
  const patience = new ReadPatience()
  let cut = 0
  for (let read = 0; read < 100; read++) {
    // Every other read is a large one.
    while (read % 2 === 0 && tookMs > patience.ms) {
      cut++
      patience.timedOut()
    }
    patience.answered(read % 2 === 0 ? tookMs : 100)
  }
  expect(cut).toBeLessThan(3)
})
