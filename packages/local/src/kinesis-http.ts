import { randomUUID } from 'node:crypto'
import type { Clock } from '@shardwise/core/clock'
import type { FaultControl, ServiceInput } from './faults.js'
import type { WireAnswer, WireHandler, WireRequest } from './http-exchange.js'
import { readInput } from './kinesis-input.js'
import { KinesisModelError } from './model/index.js'
import { type SigningKey, verifySignature } from './signature-v4.js'
import { WireError } from './wire-error.js'
import { DEFAULT_FORMAT, formatOf, type WireFormat } from './wire-format.js'

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
      return output === 'drop' ? 'drop' : answer(200, output, answering, options.clock)
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
  const work = (given: ServiceInput): object => model.call(operation, given)
  if (!faults.concerns(operation)) return work(input)
  return faults.perform({ service: 'kinesis', operation, input }, work, signal)
}

function answer(status: number, output: object, format: WireFormat, clock: Clock): WireAnswer {
  // Operations without output answer with an empty body.
  const body = Object.keys(output).length === 0 ? new Uint8Array() : format.write(output)
  return {
    status,
    headers: {
      'content-type': format.contentType,
      'x-amzn-requestid': randomUUID(),
      date: new Date(clock.wallTime()).toUTCString(),
    },
    body,
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
