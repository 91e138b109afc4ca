import { ManualClock } from '@shardwise/core/clock'
import { expect, it, onTestFinished } from 'vitest'
import type { FetchedBatch, RecordSource } from './record-source.js'
import { readFor } from './timed-reading.js'

const BATCH: FetchedBatch = { records: [], bytes: 0, millisBehindLatest: 0, children: undefined }

function setUp() {
  const clock = new ManualClock()
  const stop = new AbortController()
  let answer: (batch: FetchedBatch) => void = () => {}
  let told: AbortSignal | undefined
  const source: RecordSource = {
    next: (signal) =>
      new Promise((resolve, reject) => {
        told = signal
        answer = resolve
        signal.addEventListener('abort', () => queueMicrotask(() => reject(signal.reason)))
      }),
  }
  onTestFinished(() => expect(clock.pendingTimers).toBe(0))
  const read = readFor(source, 1_000, clock, stop.signal)
  return { clock, stop, read, answer: () => answer(BATCH), told: () => told!.aborted }
}

it('brings what comes in time', async () => {
  const { read, answer } = setUp()
  answer()
  expect(await read).toBe(BATCH)
})

it('ends the wait when the time is over', async () => {
  const { clock, read, told } = setUp()
  await clock.advanceAsync(1_000)
  expect([await read, told()]).toEqual([undefined, true])
})

it('brings what the source has read at the very moment when the time was over: nobody else would', async () => {
  const { clock, read, answer } = setUp()
  clock.advance(1_000)
  answer()
  expect(await read).toBe(BATCH)
})

it('rejects when the reader is stopped', async () => {
  const { stop, read } = setUp()
  stop.abort(new Error('enough'))
  await expect(read).rejects.toThrow('enough')
})
