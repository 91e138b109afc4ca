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
