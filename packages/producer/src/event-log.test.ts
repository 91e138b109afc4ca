import { ManualClock } from '@shardwise/core/clock'
import { EventSource } from '@shardwise/core/events'
import type { Logger } from '@shardwise/core/logger'
import { expect, test } from 'vitest'
import { EventLog } from './event-log.js'
import type { ProducerEvent } from './producer-events.js'
import { bench, startedBench } from './testing/producer-bench.js'

type Line = readonly [keyof Logger, string, object]

function recording(): { readonly logger: Logger; readonly lines: Line[] } {
  const lines: Line[] = []
  const at =
    (level: keyof Logger) =>
    (fields: object, message: string): void =>
      void lines.push([level, message, fields])
  return { lines, logger: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } }
}

function log(logger: Logger): {
  readonly clock: ManualClock
  readonly events: EventSource<ProducerEvent>
  readonly log: EventLog
} {
  const [clock, events] = [new ManualClock(), new EventSource<ProducerEvent>()]
  return { clock, events, log: new EventLog(logger, clock, events) }
}

const denied = (stream: string): ProducerEvent => ({ type: 'probe-denied', stream, message: 'no' })

test('what recurs is told at once, then counted and told every ten seconds until it stops', () => {
  const { logger, lines } = recording()
  const { clock, events } = log(logger)
  for (let i = 0; i < 1000; i++) events.emit(denied('flights'))
  events.emit(denied('gates'))
  expect(lines.map(([, , fields]) => fields)).toEqual([
    { stream: 'flights', problem: 'no' },
    { stream: 'gates', problem: 'no' },
  ])
  lines.length = 0
  clock.advance(9_999)
  expect(lines).toEqual([])
  clock.advance(1)
  expect(lines).toEqual([['warn', expect.stringMatching(/description/), { stream: 'flights', problem: 'no', repeated: 999 }]])
  // It has not stopped yet, so the next one waits for its turn; the other has.
  events.emit(denied('flights'))
  events.emit(denied('gates'))
  expect(lines).toHaveLength(2)
  clock.advance(10_000)
  expect(lines.slice(2).map(([, , fields]) => fields)).toEqual([{ stream: 'flights', problem: 'no', repeated: 1 }])
  clock.advance(10_000)
  expect([lines.length, clock.pendingTimers]).toEqual([3, 0])
  events.emit(denied('flights'))
  expect(lines).toHaveLength(4)
})

test('what has no subject is told each time', () => {
  const { logger, lines } = recording()
  const { clock, events } = log(logger)
  for (let i = 0; i < 3; i++) events.emit({ type: 'distribution-changed', stream: 'flights', distribution: 'auto' })
  expect([lines.length, clock.pendingTimers]).toEqual([3, 0])
})

test('closing tells what has not been told, and leaves no timer', () => {
  const { logger, lines } = recording()
  const { clock, events, log: closing } = log(logger)
  for (let i = 0; i < 3; i++) events.emit(denied('flights'))
  closing.closed()
  expect([lines.length, clock.pendingTimers]).toEqual([2, 0])
  expect(lines[1]![2]).toMatchObject({ repeated: 2 })
  closing.closed()
  expect(lines).toHaveLength(2)
})

test('the levels are called as methods, and one that throws disturbs nothing', async () => {
  const thrown: unknown[] = []
  class Broken implements Logger {
    readonly lines: string[] = []
    debug(): void {}
    info(_: object, message: string): void {
      this.lines.push(message)
    }
    warn(_: object, message: string): void {
      this.lines.push(message)
      throw new Error('disk full')
    }
    error(): void {}
  }
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', (error) => thrown.push(error))
  try {
    const logger = new Broken()
    const { clock, kinesis, producer, put } = await startedBench({ logger })
    for (let i = 0; i < 3; i++) kinesis.putFaults.push({ kind: 'reject', name: 'AccessDeniedException' })
    const puts: Promise<unknown>[] = []
    for (let i = 0; i < 3; i++) {
      puts.push(put('a'))
      await clock.advanceAsync(200)
    }
    expect(await Promise.all(puts)).toMatchObject([{ reason: 'refused' }, { reason: 'refused' }, { reason: 'refused' }])
    expect(await Promise.all([put('b'), clock.advanceAsync(200)])).toMatchObject([{ attempts: 1 }, undefined])
    const closing = producer.close()
    await clock.advanceAsync(200)
    await closing
    // The failed requests and the failed records, and both once more for those that recurred.
    expect(logger.lines.filter((line) => /failed for good|not delivered/.test(line))).toHaveLength(4)
    expect(thrown).toHaveLength(4)
  } finally {
    process.removeAllListeners('uncaughtException')
    for (const other of others) process.on('uncaughtException', other)
  }
})

test('a producer with a logger tells what happens', async () => {
  const { logger, lines } = recording()
  const { clock, producer, put } = bench({ logger })
  const sent = put('PERSONAL')
  await clock.advanceAsync(500)
  await sent
  expect(lines.map(([level, message]) => `${level}: ${message}`)).toEqual([
    'info: shard map refreshed',
    'debug: request sent',
    'debug: request answered',
  ])
  const closing = producer.close()
  await clock.advanceAsync(500)
  await closing
  expect(JSON.stringify(lines)).not.toContain('PERSONAL')
})
