import { ManualClock } from '@shardwise/core/clock'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ConsumedRecord } from './consumed-record.js'
import { PulledDelivery } from './pulled-delivery.js'
import { completions } from './testing/completions.js'
import { recordOf } from './testing/record-of.js'

let clock: ManualClock
let halt: AbortController
let lost: AbortController
let ours: boolean
let answer: (ours: boolean) => void
let completed: number[]
let delivery: PulledDelivery

beforeEach(() => {
  clock = new ManualClock()
  halt = new AbortController()
  lost = new AbortController()
  ours = true
  completed = []
  delivery = new PulledDelivery({
    lease: {
      signal: lost.signal,
      isOurs: () => ours,
      revalidate: () =>
        new Promise((resolve) => {
          answer = resolve
        }),
    },
    checkpoints: completions(({ sequenceNumber }) => completed.push(Number(sequenceNumber))),
    clock,
    halt: halt.signal,
  })
})

afterEach(() => expect(clock.pendingTimers).toBe(0))

const records = (count: number): ConsumedRecord[] => Array.from({ length: count }, (_, i) => recordOf(i))
const numbers = (given: readonly ConsumedRecord[]): number[] => given.map(({ sequenceNumber }) => Number(sequenceNumber))

/** What it has come to by now. */
async function outcome<T>(promise: Promise<T>): Promise<T | 'waits'> {
  return Promise.race([promise, new Promise<'waits'>((resolve) => setImmediate(resolve, 'waits'))])
}

test('what is given is completed when more is asked for, and a read when its last record is asked past', async () => {
  const counts: number[] = []
  const delivered = delivery.deliver(records(5), 0, (duplicates) => counts.push(duplicates))
  expect(numbers(await delivery.take(3))).toEqual([0, 1, 2])
  expect([completed, delivery.outstanding, await outcome(delivery.room())]).toEqual([[], 5, 'waits'])
  expect(numbers(await delivery.take(3))).toEqual([3, 4])
  expect([completed, delivery.outstanding, counts]).toEqual([[2], 2, []])
  const next = delivery.take(3)
  expect([await delivered, await delivery.room(), completed, counts, delivery.outstanding]).toEqual([true, true, [2, 4], [0], 0])
  expect(await outcome(next)).toBe('waits')
  void delivery.deliver([recordOf(5)], 0)
  expect(numbers(await next)).toEqual([5])
})

test('asks whether the lease is ours whenever it gives, and waits while that is in doubt', async () => {
  void delivery.deliver(records(5), 0)
  await delivery.take(1)
  ours = false
  const next = delivery.take(1)
  expect(await outcome(next)).toBe('waits')
  ours = true
  answer(true)
  expect(numbers(await next)).toEqual([1])
})

test('halted: gives nothing more, and waits for what is in hand', async () => {
  const delivered = delivery.deliver(records(5), 0)
  await delivery.take(2)
  halt.abort()
  expect(await outcome(delivered)).toBe('waits')
  expect(await delivery.take(2)).toEqual([])
  expect([await delivered, await delivery.room(), completed]).toEqual([false, false, [1]])
})

test('halted when the last of a read is in hand: it is delivered once it is asked past', async () => {
  const delivered = delivery.deliver(records(2), 0)
  await delivery.take(2)
  halt.abort()
  expect(await delivery.take(2)).toEqual([])
  expect([await delivered, completed]).toEqual([true, [1]])
})

test('halted while somebody waits, and while nobody has anything in hand', async () => {
  const next = delivery.take(1)
  halt.abort()
  expect(await next).toEqual([])
  expect(await delivery.deliver(records(1), 0)).toBe(false)
})

test('told to give up, what is asked past is not completed', async () => {
  const delivered = delivery.deliver(records(2), 0)
  await delivery.take(1)
  halt.abort()
  lost.abort()
  expect(await delivery.take(1)).toEqual([])
  expect([await delivered, completed]).toEqual([false, []])
})

test('left: what is in hand is not completed, and nothing comes any more', async () => {
  const delivered = delivery.deliver(records(2), 0)
  await delivery.take(1)
  delivery.leave()
  expect([await delivered, completed, await delivery.take(1)]).toEqual([false, [], []])
})

test('what waits for more spans reads, has room for them, and is in hand and completed as one', async () => {
  const parts = [delivery.deliver([recordOf(0), recordOf(1)], 0)]
  const given = delivery.take(4, 1000)
  expect([await delivery.room(), await outcome(given)]).toEqual([true, 'waits'])
  parts.push(delivery.deliver([recordOf(2), recordOf(3), recordOf(4)], 0))
  expect(numbers(await given)).toEqual([0, 1, 2, 3])
  expect([await outcome(delivery.room()), await outcome(parts[0]!), completed, delivery.outstanding]).toEqual([
    'waits',
    'waits',
    [],
    5,
  ])
  halt.abort()
  expect(await outcome(parts[0]!)).toBe('waits')
  expect(await delivery.take(4, 1000)).toEqual([])
  expect([await Promise.all(parts), completed, await delivery.room()]).toEqual([[true, false], [1, 3], false])
})

test('what waits for more waits from its first record on, not beyond the last of the shard, and not with 8 MiB', async () => {
  const given = delivery.take(4, 1000)
  await clock.advanceAsync(5000)
  void delivery.deliver([recordOf(0)], 0)
  await clock.advanceAsync(999)
  expect(await outcome(given)).toBe('waits')
  await clock.advanceAsync(1)
  expect(numbers(await given)).toEqual([0])
  void delivery.deliver([{ ...recordOf(1), bytes: new Uint8Array(8 * 1024 * 1024) }], 0)
  expect(numbers(await delivery.take(4, 1000))).toEqual([1])
  void delivery.deliver([recordOf(2)], 0)
  const last = delivery.take(4, 1000)
  expect(await outcome(last)).toBe('waits')
  delivery.last()
  expect(numbers(await last)).toEqual([2])
})

test.each(['halted', 'in doubt, then lost'])('what waits for more is not given when the shard is %s', async (how) => {
  const delivered = delivery.deliver(records(2), 0)
  const given = delivery.take(4, 1000)
  ours = how === 'halted'
  if (how === 'halted') halt.abort()
  await clock.advanceAsync(1000)
  if (how !== 'halted') {
    expect(await outcome(given)).toBe('waits')
    answer(false)
    lost.abort()
    halt.abort()
  }
  expect([await given, await delivered, completed]).toEqual([[], false, []])
})

test('who computes and waits for nothing leaves the event loop its turns', async () => {
  void delivery.deliver(records(1000), 0)
  let got = 0
  const loop = (async () => {
    while ((await delivery.take(1)).length > 0) {
      got++
      clock.advance(1)
    }
  })()
  await new Promise((resolve) => setImmediate(resolve))
  expect(got).toBeLessThanOrEqual(60)
  halt.abort()
  await clock.advanceAsync(1)
  await loop
})
