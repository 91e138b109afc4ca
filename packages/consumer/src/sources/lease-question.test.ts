import { ManualClock, sleep } from '@shardwise/core/clock'
import { expect, it, onTestFinished } from 'vitest'
import { isLeaseOurs } from './lease-question.js'

interface Case {
  readonly name: string
  /** What the lease says, and after how long. */
  readonly says: boolean
  readonly afterMs: number
  readonly told: number
  readonly settledAt: number
}

it.each<Case>([
  { name: 'a yes is told at once', says: true, afterMs: 0, told: 1, settledAt: 0 },
  {
    name: 'a yes that comes late too, and others hear every five seconds',
    says: true,
    afterMs: 12_000,
    told: 3,
    settledAt: 12_000,
  },
  { name: 'a no that comes at once waits for five seconds', says: false, afterMs: 0, told: 1, settledAt: 5_000 },
  { name: 'so does one that comes sooner', says: false, afterMs: 3_000, told: 1, settledAt: 5_000 },
  { name: 'a no that comes late is told at once', says: false, afterMs: 12_000, told: 3, settledAt: 12_000 },
])('$name', async ({ says, afterMs, told, settledAt }) => {
  const clock = new ManualClock()
  onTestFinished(() => expect(clock.pendingTimers).toBe(0))
  let waits = 0
  let asked = 0
  const ask = async (): Promise<boolean> => {
    asked++
    if (afterMs > 0) await sleep(clock, afterMs)
    return says
  }
  let settled: { readonly is: boolean; readonly at: number } | undefined
  const options = { lease: { confirm: ask, revalidate: ask }, clock, waits: () => void waits++ }
  void isLeaseOurs(options, 'confirm', new AbortController().signal).then((is) => (settled = { is, at: clock.now() }))
  await clock.advanceAsync(0)
  while (settled === undefined && clock.nextTimerAt !== undefined) await clock.advanceAsync(clock.nextTimerAt - clock.now())
  expect({ settled, waits, asked }).toEqual({ settled: { is: says, at: settledAt }, waits: told, asked: 1 })
})

it.each([
  ['while it waits for an answer', () => new Promise<boolean>(() => {})],
  ['while a no waits', async () => false],
])('ends with the reason of its signal %s', async (_, ask) => {
  const clock = new ManualClock()
  const stop = new AbortController()
  const options = { lease: { confirm: ask, revalidate: ask }, clock, waits: () => {} }
  const ended = expect(isLeaseOurs(options, 'revalidate', stop.signal)).rejects.toThrow('enough')
  await clock.advanceAsync(1_000)
  stop.abort(new Error('enough'))
  await ended
  expect(clock.pendingTimers).toBe(0)
})
