import { randomUUID } from 'node:crypto'
import type { Clock } from '@shardwise/core/clock'
import type { FaultControl, ServiceInput } from './faults.js'
import type { WireAnswer, WireHandler, WireRequest } from './http-exchange.js'
import type { WirePush } from './http-push.js'
import { readInput } from './kinesis-input.js'
import { KinesisModelError } from './model/index.js'
import { ShardSubscription } from './model/shard-subscription.js'
import type { SubscribeToShardAnswer } from './model/subscribe-to-shard.js'
import { type SigningKey, verifySignature } from './signature-v4.js'
import { SubscriptionChunks } from './subscription-chunks.js'
import { type EventSource, SubscriptionReader } from './subscription-reader.js'
import { WireError } from './wire-error.js'
import { DEFAULT_FORMAT, formatOf, type WireFormat } from './wire-format.js'

const EVENT_STREAM = 'application/vnd.amazon.eventstream'
const TARGET = /^Kinesis_20131202\.(\w+)$/

export interface KinesisHttpOptions {
  readonly model: { call(operation: string, input: unknown): object }
  readonly faults: FaultControl
  readonly clock: Clock
  /** Absent: signatures are not looked at. */
  readonly key?: SigningKey | undefined
}

/** The Kinesis API over HTTP, in AWS JSON 1.1 and CBOR 1.1: from a request to `model.call` and back. */
export function kinesisHandler(options: KinesisHttpOptions): WireHandler {
  return async (request, signal) => {
    const format = formatOf(header(request, 'content-type'))
    const answering = format ?? DEFAULT_FORMAT
    try {
      const output = await perform(request, format, options, signal)
      if (output === 'drop') return 'drop'
      if ('EventStream' in output) return eventStream(output.EventStream as EventSource, answering, options.clock)
      return answer(200, output, answering, options.clock)
    } catch (error) {
      if (signal.aborted) throw error
      const { code, statusCode, message } = refusal(error)
      return answer(statusCode, { __type: code, message }, answering, options.clock)
    }
  }
}

async function perform(
  request: WireRequest,
  format: WireFormat | undefined,
  { model, faults, clock, key }: KinesisHttpOptions,
  signal: AbortSignal,
): Promise<object | 'drop'> {
  if (request.method !== 'POST') throw unknownOperation(404, `Kinesis takes POST requests, got ${request.method}`)
  if (format === undefined) {
    const given = header(request, 'content-type')
    throw unknownOperation(
      404,
      `Content-Type must be application/x-amz-json-1.1 or application/x-amz-cbor-1.1, got ${given ?? 'none'}`,
    )
  }
  const target = header(request, 'x-amz-target')
  const operation = TARGET.exec(target ?? '')?.[1]
  if (operation === undefined) {
    throw unknownOperation(400, `X-Amz-Target must be Kinesis_20131202.<operation>, got ${target ?? 'none'}`)
  }
  if (key !== undefined) verifySignature(request, { key, service: 'kinesis', wallTime: clock.wallTime() })
  const input = readInput(operation, request.body, format)
  let source: EventSource | undefined
  const work = (given: ServiceInput): object => {
    const output = model.call(operation, given)
    if (!isSubscribed(output)) return output
    source = new SubscriptionReader(output.EventStream, clock)
    return { EventStream: source }
  }
  if (!faults.concerns(operation)) return work(input)
  try {
    const output = await faults.perform({ service: 'kinesis', operation, input }, work, signal)
    if (output === 'drop') source?.close()
    return output
  } catch (error) {
    source?.close()
    throw error
  }
}

function isSubscribed(output: object): output is SubscribeToShardAnswer {
  return 'EventStream' in output && output.EventStream instanceof ShardSubscription
}

function answer(status: number, output: object, format: WireFormat, clock: Clock): WireAnswer {
  // Operations without output answer with an empty body.
  const body = Object.keys(output).length === 0 ? new Uint8Array() : format.write(output)
  return { status, headers: headersOf(format.contentType, clock), body }
}

function eventStream(source: EventSource, format: WireFormat, clock: Clock): WirePush {
  return { status: 200, headers: headersOf(EVENT_STREAM, clock), chunks: new SubscriptionChunks(source, format) }
}

function headersOf(contentType: string, clock: Clock): Record<string, string> {
  return {
    'content-type': contentType,
    'x-amzn-requestid': randomUUID(),
    date: new Date(clock.wallTime()).toUTCString(),
  }
}

function refusal(error: unknown): { code: string; statusCode: number; message: string } {
  if (error instanceof WireError || error instanceof KinesisModelError) return error
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { code: 'InternalFailure', statusCode: 500, message: `The local service failed: ${text}` }
}

function unknownOperation(status: number, message: string): WireError {
  return new WireError('UnknownOperationException', status, message)
}

function header(request: WireRequest, name: string): string | undefined {
  const value = request.headers[name]
  return typeof value === 'string' ? value : undefined
}
