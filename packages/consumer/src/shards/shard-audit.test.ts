import { ManualClock } from '@shardwise/core/clock'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LeaseEvent } from '../leases/lease-event.js'
import { ShardAudit } from './shard-audit.js'

let clock: ManualClock
let draws: number[]
let events: LeaseEvent[]
let stop: AbortController
let audit: ShardAudit
let running: Promise<void>
/** When each audit began. */
let begun: number[]
let createMissing: (signal: AbortSignal | undefined) => Promise<readonly string[]>

beforeEach(() => {
  clock = new ManualClock()
  draws = []
  events = []
  begun = []
  stop = new AbortController()
  createMissing = async () => []
  const discovery = {
    createMissing: ({ signal }: { signal?: AbortSignal | undefined } = {}) => {
      begun.push(clock.now())
      return createMissing(signal)
    },
  }
  audit = new ShardAudit({ discovery, clock, random: () => draws.shift() ?? 0, emit: (event) => events.push(event) })
})

/** However a test ends: the audit ends with its signal, and leaves nothing on the clock. */
afterEach(async () => {
  stop.abort()
  await running
  expect(clock.pendingTimers).toBe(0)
})

function run(): void {
  running = audit.run(stop.signal)
}

describe('when', () => {
  test.each([
    { drawn: [0, 0, 0], audits: [60_000, 120_000, 180_000] },
    { drawn: [0.5, 0, 0.25], audits: [90_000, 150_000, 225_000] },
    { drawn: [0.999, 0.999], audits: [119_940, 239_880] },
  ])('one to two minutes apart, as drawn: $drawn', async ({ drawn, audits }) => {
    draws = [...drawn]
    run()
    await clock.advanceAsync(audits.at(-1)!)
    expect(begun).toEqual(audits)
  })

  test('the pause is counted from the end of the audit before', async () => {
    const answers: (() => void)[] = []
    createMissing = () => new Promise((resolve) => answers.push(() => resolve([])))
    run()
    await clock.advanceAsync(100_000)
    expect(begun).toEqual([60_000])
    answers[0]!()
    await clock.advanceAsync(60_000)
    expect(begun).toEqual([60_000, 160_000])
    answers[1]!()
  })
})

describe('soon', () => {
  test('at once, and then a whole pause', async () => {
    run()
    await clock.advanceAsync(10_000)
    audit.soon()
    await clock.advanceAsync(60_000)
    expect(begun).toEqual([10_000, 70_000])
  })

  test('asked before the run begins', async () => {
    audit.soon()
    run()
    await clock.advanceAsync(0)
    expect(begun).toEqual([0])
  })

  test('asked while one is under way, which may have listed too early: once more, however often asked', async () => {
    const answers: (() => void)[] = []
    createMissing = () => new Promise((resolve) => answers.push(() => resolve([])))
    run()
    await clock.advanceAsync(60_000)
    audit.soon()
    audit.soon()
    await clock.advanceAsync(5_000)
    expect(begun).toEqual([60_000])
    answers[0]!()
    await clock.advanceAsync(0)
    expect(begun).toEqual([60_000, 65_000])
    answers[1]!()
    await clock.advanceAsync(59_999)
    expect(begun).toHaveLength(2)
  })
})

describe('failure and end', () => {
  test('a failure is told and does not end the audits', async () => {
    createMissing = async () => {
      throw Object.assign(new Error('slow down'), { name: 'LimitExceededException' })
    }
    run()
    await clock.advanceAsync(120_000)
    expect(events).toEqual([60_000, 120_000].map(() => ({ type: 'shard-audit-failed', failure: expect.anything() })))
    expect(events[0]).toMatchObject({ failure: { kind: 'limit-exceeded', message: expect.stringContaining('slow down') } })
  })

  test('stopped in the middle of an audit: it is told by its signal, and that is no failure', async () => {
    createMissing = (signal) =>
      new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason), { once: true }))
    run()
    await clock.advanceAsync(60_000)
    stop.abort()
    await running
    expect(events).toEqual([])
    expect(begun).toEqual([60_000])
  })

  test.each(['before it began', 'in the pause'])('stopped %s: no audit any more, asked for or not', async (when) => {
    if (when === 'before it began') stop.abort()
    run()
    stop.abort()
    audit.soon()
    await running
    expect(begun).toEqual([])
  })
})
