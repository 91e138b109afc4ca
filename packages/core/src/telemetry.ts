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
