import { once } from 'node:events'
import { expect, test } from 'vitest'
import { type Telemetry, telemetryOption } from './telemetry.js'

test('calls each function as a method, with its arguments', () => {
  class Meter implements Telemetry {
    readonly seen: unknown[] = []
    counter(...args: unknown[]): void {
      this.seen.push(['counter', ...args])
    }
    histogram(...args: unknown[]): void {
      this.seen.push(['histogram', ...args])
    }
    gauge(...args: unknown[]): void {
      this.seen.push(['gauge', ...args])
    }
    inject(carrier: Record<string, string>): void {
      carrier.traceparent = `after ${this.seen.length}`
    }
  }
  const meter = new Meter()
  const telemetry = telemetryOption('telemetry', meter)!
  telemetry.counter?.('a.count', 2, { stream: 'flights' })
  telemetry.histogram?.('a.duration', 1.5)
  telemetry.gauge?.('an.amount', 0)
  const carrier = {}
  telemetry.inject?.(carrier)
  expect(meter.seen).toEqual([
    ['counter', 'a.count', 2, { stream: 'flights' }],
    ['histogram', 'a.duration', 1.5],
    ['gauge', 'an.amount', 0],
  ])
  expect(carrier).toEqual({ traceparent: 'after 3' })
})

test('has the functions that were given and no others', () => {
  expect(telemetryOption('telemetry', undefined)).toBeUndefined()
  expect(Object.keys(telemetryOption('telemetry', { gauge: undefined as never, counter() {} })!)).toEqual(['counter'])
})

test('what a function throws surfaces outside', async () => {
  const thrown = new Error('out of ink')
  const telemetry = telemetryOption('telemetry', {
    counter: () => {
      throw thrown
    },
  })!
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  const outside = once(process, 'uncaughtException')
  expect(() => telemetry.counter?.('a.count', 1)).not.toThrow()
  const [error] = await outside
  for (const listener of others) process.on('uncaughtException', listener)
  expect(error).toBe(thrown)
})

test.each([
  ['a function', () => {}, /Option `telemetry` must be an object with any of the functions counter, histogram, gauge, inject/],
  ['null', null, /Option `telemetry` must be an object/],
  ['what is no function', { histogram: 1 }, /Option `telemetry.histogram` must be a function, got 1/],
])('refuses %s', (_, given, message) => {
  expect(() => telemetryOption('telemetry', given as unknown as Telemetry)).toThrow(message)
})
