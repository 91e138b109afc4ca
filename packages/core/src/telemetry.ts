import { InvalidOptionError } from './options.js'

/** What a measurement is about. Few and bounded: names of streams and shards and error codes, never partition keys or payloads. */
export type TelemetryAttributes = Readonly<Record<string, string | number>>

/**
 * Where measurements go: to OpenTelemetry, StatsD, CloudWatch or anything else, through an object of a few lines. Every function may be
 * left out. They are called synchronously, per request or Kinesis record and never per user record, so they must only take note. What one
 * throws disturbs nothing: it is rethrown outside, as an uncaught exception, as with listeners of events.
 *
 * Names are lower case with dots (`shardwise.producer.request.duration`) and are listed in the README of the package that measures,
 * each with its kind, its unit (as UCUM has it: `ms`, `By`, `{record}`) and its attributes (`stream`, and where known `shardId` and
 * `code`, named as in events).
 */
export interface Telemetry {
  /** `value` more of something that only grows. */
  counter?(name: string, value: number, attributes?: TelemetryAttributes): void
  /** One sample of a distribution. */
  histogram?(name: string, value: number, attributes?: TelemetryAttributes): void
  /** The present amount of something that rises and falls. */
  gauge?(name: string, value: number, attributes?: TelemetryAttributes): void
  /**
   * Writes the context of the present trace into `carrier` as W3C headers (`traceparent`, `tracestate`), so that it travels with a record:
   * `propagation.inject(context.active(), carrier)` in OpenTelemetry. Unlike the others it is called once for each record that is put.
   */
  inject?(carrier: Record<string, string>): void
}

const FUNCTIONS = ['counter', 'histogram', 'gauge', 'inject'] as const

/** The option, checked, as an object whose functions never throw. Throws InvalidOptionError. */
export function telemetryOption(option: string, given: Telemetry | undefined): Telemetry | undefined {
  if (given === undefined) return undefined
  if (typeof given !== 'object' || given === null) {
    throw new InvalidOptionError(option, `an object with any of the functions ${FUNCTIONS.join(', ')}`, given)
  }
  const guarded: Record<string, unknown> = {}
  for (const name of FUNCTIONS) {
    if (given[name] === undefined) continue
    if (typeof given[name] !== 'function') throw new InvalidOptionError(`${option}.${name}`, 'a function', given[name])
    guarded[name] = guard(given, name)
  }
  return guarded
}

/** Calls the method, as a method of its object. What it throws is rethrown outside, as an uncaught exception. */
function guard(telemetry: Telemetry, name: (typeof FUNCTIONS)[number]): (...args: readonly unknown[]) => void {
  return (...args) => {
    try {
      Reflect.apply(telemetry[name]!, telemetry, args)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }
}
