import { EventSource } from '@shardwise/core/events'
import { expect, it, onTestFinished, vi } from 'vitest'
import type { Consumer } from './consumer.js'
import type { ConsumerEvent } from './consumer-events.js'
import type { StopOptions } from './stop-limit.js'
import { stopOnSignals } from './stop-on-signals.js'

function fakeConsumer() {
  const calls: StopOptions[] = []
  let stopped: () => void = () => {}
  const events = new EventSource<ConsumerEvent>()
  const consumer: Pick<Consumer, 'stop' | 'events'> = {
    events,
    stop: (options = {}) => {
      calls.push(options)
      return new Promise((resolve) => {
        stopped = () => resolve({ abandonedShards: [] })
      })
    },
  }
  const before = listeners()
  onTestFinished(() => expect(listeners()).toEqual(before))
  return { consumer, calls, events, finish: () => stopped(), before }
}

function listeners(): number[] {
  return (['SIGTERM', 'SIGINT', 'SIGUSR2'] as const).map((signal) => process.listenerCount(signal))
}

it('stops at the first signal, once, within 20 s, and lets signals be what they were afterwards', async () => {
  const { consumer, calls, finish, before } = fakeConsumer()
  stopOnSignals(consumer)
  process.emit('SIGTERM')
  process.emit('SIGINT')
  process.emit('SIGTERM')
  expect(calls).toEqual([{ timeoutMs: 20_000 }])
  expect(listeners()).not.toEqual(before)
  finish()
  await vi.waitFor(() => expect(listeners()).toEqual(before))
})

it('takes signals and time from the options', () => {
  const { consumer, calls } = fakeConsumer()
  const dispose = stopOnSignals(consumer, { signals: ['SIGUSR2'], timeoutMs: 7 })
  process.emit('SIGUSR2')
  dispose()
  expect(calls).toEqual([{ timeoutMs: 7 }])
})

it('is taken back by its disposer, and by the end of the consumer', () => {
  const { consumer, calls, events, before } = fakeConsumer()
  const dispose = stopOnSignals(consumer, { signals: ['SIGUSR2'] })
  dispose()
  dispose()
  expect(listeners()).toEqual(before)
  stopOnSignals(consumer, { signals: ['SIGUSR2'] })
  events.emit({ type: 'consumer-stopped', workerId: 'w' })
  expect(listeners()).toEqual(before)
  expect(calls).toEqual([])
})

it('refuses a time that is none', () => {
  const { consumer } = fakeConsumer()
  expect(() => stopOnSignals(consumer, { timeoutMs: -1 })).toThrow('`timeoutMs` must be a whole number from 0 up')
})

it.each([
  [{ timeout: 5 }, '`timeout`'],
  [{ signals: 'SIGTERM' }, '`signals`'],
  [5000, '`options`'],
])('refuses %j', (options, named) => {
  const { consumer } = fakeConsumer()
  expect(() => stopOnSignals(consumer, options as never)).toThrow(named)
})
