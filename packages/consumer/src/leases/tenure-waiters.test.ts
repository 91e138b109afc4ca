import { expect, test } from 'vitest'
import { TenureWaiters } from './tenure-waiters.js'

const GIVEN_UP = new Error('given up')

type Step = { readonly version: number; readonly isOurs: boolean; readonly needed: boolean } | 'end'

test.each<{
  waits: string
  begin: (waiters: TenureWaiters) => Promise<unknown>
  steps: Step[]
  answer: unknown
  releasing: boolean
}>([
  {
    waits: 'for a write that is written',
    begin: (waiters) => waiters.landed(5),
    steps: [{ version: 5, isOurs: false, needed: false }],
    answer: undefined,
    releasing: false,
  },
  {
    waits: 'for a write that a later one covers',
    begin: (waiters) => waiters.landed(5),
    steps: [{ version: 6, isOurs: true, needed: false }],
    answer: undefined,
    releasing: false,
  },
  {
    waits: 'for a write that is not written yet, ours or not',
    begin: (waiters) => waiters.landed(5),
    steps: [
      { version: -1, isOurs: true, needed: true },
      { version: 4, isOurs: true, needed: true },
    ],
    answer: 'waits',
    releasing: false,
  },
  {
    waits: 'for a write, to the end',
    begin: (waiters) => waiters.landed(5),
    steps: ['end'],
    answer: GIVEN_UP,
    releasing: false,
  },
  {
    waits: 'for trust that comes',
    begin: (waiters) => waiters.trusted(),
    steps: [
      { version: 9, isOurs: false, needed: true },
      { version: 9, isOurs: true, needed: false },
    ],
    answer: true,
    releasing: false,
  },
  {
    waits: 'for trust that does not come',
    begin: (waiters) => waiters.trusted(),
    steps: [{ version: 9, isOurs: false, needed: true }, 'end'],
    answer: false,
    releasing: false,
  },
  {
    waits: 'for the release: no checkpoint is one',
    begin: (waiters) => waiters.released(),
    steps: [{ version: 9, isOurs: true, needed: false }],
    answer: 'waits',
    releasing: true,
  },
  {
    waits: 'for the release, to the end',
    begin: (waiters) => waiters.released(),
    steps: ['end'],
    answer: undefined,
    releasing: false,
  },
])('one that waits $waits', async ({ begin, steps, answer, releasing }) => {
  const waiters = new TenureWaiters()
  const waiting = begin(waiters).catch((error: unknown) => error)
  for (const step of steps) {
    if (step === 'end') waiters.end(GIVEN_UP)
    else expect(waiters.settle(step.version, step.isOurs)).toBe(step.needed)
  }
  expect(waiters.releasing).toBe(releasing)
  // What has been answered comes before what is answered now.
  expect(await Promise.race([waiting, new Promise((resolve) => setImmediate(resolve, 'waits'))])).toBe(answer)
})

test('several: each has its own answer, once', async () => {
  const waiters = new TenureWaiters()
  const answers: string[] = []
  for (const number of [5, 3, 8]) {
    void waiters.landed(number).then(
      () => answers.push(`${number} landed`),
      () => answers.push(`${number} not`),
    )
  }
  const trusted = [waiters.trusted(), waiters.trusted()]
  expect(waiters.settle(5, true)).toBe(true)
  waiters.end(GIVEN_UP)
  expect(await Promise.all(trusted)).toEqual([true, true])
  expect(answers).toEqual(['5 landed', '3 landed', '8 not'])
  expect(waiters.settle(9, true)).toBe(false)
})
