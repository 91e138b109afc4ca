import { expect, it } from 'vitest'
import { type Evidence, missingFrom } from './evidence.js'
import { KINDS } from './steps.js'

const balance = { acknowledged: 600, delivered: 600, failed: 0, checkpoints: 5, takeovers: 1, throttled: { writes: 1, reads: 0 } }
const WHOLE: Evidence = {
  ...{ minutes: 2, skipped: 3, asked: 1000, calls: { polling: 10, fanOut: 10 }, balance },
  done: Object.fromEntries(KINDS.map((kind) => [kind, 1])),
  effects: { broken: 1, refused: 1, halfOpen: 1, truncated: 1, swallowedBytes: 1, latePieces: 1 },
}

it('misses nothing where everything happened', () => {
  expect(missingFrom(WHOLE)).toEqual([])
  expect(missingFrom({ ...WHOLE, calls: { polling: undefined, fanOut: 10 } })).toEqual([])
})

it.each<[string, Partial<Evidence>]>([
  ['only 499 of 1000 records', { balance: { ...balance, acknowledged: 499 } }],
  ['nothing was delivered', { balance: { ...balance, delivered: 0 } }],
  ['1 records failed', { balance: { ...balance, failed: 1 } }],
  ['steps could be carried out', { skipped: KINDS.length }],
  ['kind surge', { done: Object.fromEntries(KINDS.filter((kind) => kind !== 'surge').map((kind) => [kind, 1])) }],
  ['truncated is 0', { effects: { ...WHOLE.effects, truncated: 0 } }],
  ['throttled nothing', { balance: { ...balance, throttled: { writes: 0, reads: 9 } } }],
  ['no checkpoint', { balance: { ...balance, checkpoints: 0 } }],
  ['no lease was taken', { balance: { ...balance, takeovers: 0 } }],
  ['by polling', { calls: { polling: 0, fanOut: 10 } }],
  ['by enhanced fan-out', { calls: { polling: 10, fanOut: 0 } }],
])('misses: %s', (text, change) => {
  expect(missingFrom({ ...WHOLE, ...change })).toEqual([expect.stringContaining(text)])
})

it('asks a shorter run for load and for half of its steps alone', () => {
  const short = {
    ...WHOLE,
    minutes: 1,
    done: { reset: 5 },
    balance: { ...balance, takeovers: 0, throttled: { writes: 0, reads: 0 } },
  }
  expect(missingFrom(short)).toEqual([])
  expect(missingFrom({ ...short, skipped: 5 })).toHaveLength(1)
})
