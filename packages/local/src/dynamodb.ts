import { EventEmitter } from 'node:events'
import type { Clock } from '@shardwise/core/clock'
import dynalite from 'dynalite'
import type { FaultControl, ServiceInput } from './faults.js'
import type { WireAnswer, WireHandler, WireRequest } from './http-exchange.js'
import { type SigningKey, verifySignature } from './signature-v4.js'
import { WireError } from './wire-error.js'

export interface DynamoDbOptions {
  readonly faults: FaultControl
  readonly clock: Clock
  /** Absent: signatures are not looked at. */
  readonly key?: SigningKey | undefined
}

/**
 * DynamoDB, by npm dynalite in this process, empty and in memory. Our own server speaks HTTP in front of it: so that the port has what
 * Kinesis' has (HTTP/2, TLS, faults, signatures), and because dynalite ends the process when a client leaves in mid-request.
 */
export function dynamoDbHandler({ faults, clock, key }: DynamoDbOptions): WireHandler {
  const tables = dynalite({ createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 })
  return async (request, signal) => {
    try {
      if (key !== undefined) verifySignature(request, { key, service: 'dynamodb', wallTime: clock.wallTime() })
      const operation = operationOf(request)
      if (!faults.concerns(operation)) return dated(await ask(tables, request), clock)
      return await withFaults(tables, request, operation, { faults, clock }, signal)
    } catch (error) {
      if (signal.aborted) throw error
      return dated(refusal(error), clock)
    }
  }
}

async function withFaults(
  tables: EventEmitter,
  request: WireRequest,
  operation: string,
  { faults, clock }: DynamoDbOptions,
  signal: AbortSignal,
): Promise<WireAnswer | 'drop'> {
  // What dynalite said is passed on as it is; the faults see it read.
  let answer: WireAnswer | undefined
  const work = async (): Promise<object> => {
    answer = await ask(tables, request)
    const output = parsed(Buffer.from(answer.body))
    if (answer.status === 200) return output
    throw new WireError(String(output.__type).replace(/^.*#/, ''), answer.status, String(output.message ?? output.Message ?? ''))
  }
  try {
    const output = await faults.perform({ service: 'dynamodb', operation, input: parsed(request.body) }, work, signal)
    if (output === 'drop') return 'drop'
  } catch (error) {
    if (answer === undefined || signal.aborted) throw error
  }
  return dated(answer!, clock)
}

/** Puts a request to dynalite's own listener, which takes what looks to it like a request and a response of node:http. */
function ask(tables: EventEmitter, request: WireRequest): Promise<WireAnswer> {
  return new Promise((resolve) => {
    const headers: Record<string, string> = {}
    const incoming = Object.assign(new EventEmitter(), { method: request.method, url: request.path, headers: request.headers })
    const outgoing = {
      statusCode: 200,
      setHeader(name: string, value: string | number): void {
        headers[name.toLowerCase()] = String(value)
      },
      end(text = ''): void {
        resolve({ status: outgoing.statusCode, headers, body: Buffer.from(text) })
      },
    }
    tables.emit('request', incoming, outgoing)
    if (request.body.length > 0) incoming.emit('data', request.body)
    incoming.emit('end')
  })
}

function dated(answer: WireAnswer, clock: Clock): WireAnswer {
  return { ...answer, headers: { ...answer.headers, date: new Date(clock.wallTime()).toUTCString() } }
}

function refusal(error: unknown): WireAnswer {
  const { code, statusCode, message } =
    error instanceof WireError
      ? error
      : { code: 'InternalServerError', statusCode: 500, message: `The local service failed: ${(error as Error).stack ?? error}` }
  return {
    status: statusCode,
    headers: { 'content-type': 'application/x-amz-json-1.0' },
    body: Buffer.from(JSON.stringify({ __type: `com.amazonaws.dynamodb.v20120810#${code}`, message })),
  }
}

function operationOf(request: WireRequest): string {
  const target = request.headers['x-amz-target']
  return (typeof target === 'string' ? target.split('.')[1] : undefined) ?? ''
}

function parsed(body: Buffer): ServiceInput {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as ServiceInput) : {}
  } catch {
    return {}
  }
}
