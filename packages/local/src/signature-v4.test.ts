import {
  KinesisClient,
  type KinesisClientConfig,
  ListStreamsCommand,
  type ListStreamsCommandInput,
} from '@aws-sdk/client-kinesis'
import { ManualClock, systemClock } from '@shardwise/core/clock'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { WireRequest } from './http-exchange.js'
import { HttpServer } from './http-server.js'
import { verifySignature } from './signature-v4.js'
import type { WireError } from './wire-error.js'

const key = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }
const signedAt = Date.UTC(2026, 0, 1)
const MINUTE = 60_000

/** Requests as the real SDK signs them, over HTTP/2 and HTTP/1.1. */
const signed: Record<'h1' | 'h2', WireRequest> = await (async () => {
  const seen: WireRequest[] = []
  const server = new HttpServer({
    host: '127.0.0.1',
    port: 0,
    portOption: 'port',
    handler: async (request) => {
      seen.push(request)
      return { status: 200, headers: { 'content-type': 'application/x-amz-json-1.1' }, body: Buffer.from('{}') }
    },
  })
  await server.start()
  const offset = signedAt - systemClock.wallTime()
  const config: KinesisClientConfig = {
    endpoint: `http://${server.authority}`,
    region: 'eu-west-3',
    credentials: { ...key, sessionToken: 'session' },
    systemClockOffset: offset,
  }
  const input: ListStreamsCommandInput = { ExclusiveStartStreamName: 'a  b' }
  const h2 = new KinesisClient(config)
  await h2.send(new ListStreamsCommand(input))
  const h1 = new KinesisClient({ ...config, requestHandler: new NodeHttpHandler() })
  await h1.send(new ListStreamsCommand(input))
  h1.destroy()
  h2.destroy()
  await server.stop()
  return { h2: seen[0]!, h1: seen[1]! }
})()

let clock: ManualClock
beforeEach(() => {
  clock = new ManualClock({ wallTime: signedAt })
})
afterEach(() => expect(clock.pendingTimers).toBe(0))

function verdict(request: WireRequest, options: { service?: string; key?: typeof key } = {}): string {
  try {
    verifySignature(request, { key: options.key ?? key, service: options.service ?? 'kinesis', wallTime: clock.wallTime() })
    return 'accepted'
  } catch (error) {
    const { code, statusCode, message } = error as WireError
    return `${statusCode} ${code}: ${message}`
  }
}

function withHeader(request: WireRequest, name: string, change: (value: string) => string | undefined): WireRequest {
  return { ...request, headers: { ...request.headers, [name]: change(String(request.headers[name] ?? '')) } }
}

describe.each(['h1', 'h2'] as const)('a request of the SDK over %s', (version) => {
  const request = signed[version]
  const authorization = (change: (value: string) => string | undefined): WireRequest =>
    withHeader(request, 'authorization', change)

  it('is accepted for its key', () => {
    expect(verdict(request)).toBe('accepted')
  })

  it('is refused for another secret, another key id, another service', () => {
    expect(verdict(request, { key: { ...key, secretAccessKey: 'other' } })).toMatch(
      /^400 InvalidSignatureException: The request signature/,
    )
    expect(verdict(request, { key: { ...key, accessKeyId: 'AKOTHER' } })).toBe(
      '400 UnrecognizedClientException: The security token included in the request is invalid.',
    )
    expect(verdict(request, { service: 'dynamodb' })).toMatch(/^400 InvalidSignatureException: .*correct service: 'dynamodb'/)
  })

  it('is good for five minutes around its date', () => {
    for (const [minutes, expected] of [
      [4.9, 'accepted'],
      [-4.9, 'accepted'],
      [5.1, /^400 InvalidSignatureException: Signature expired: 2026\d{4}T\d{6}Z is now earlier than .* - 5 min\.\)$/],
      [-5.1, /^400 InvalidSignatureException: Signature not yet current: /],
    ] as const) {
      clock = new ManualClock({ wallTime: signedAt + minutes * MINUTE })
      expect(verdict(request)).toMatch(expected)
    }
  })

  it.each<[string, (request: WireRequest) => WireRequest, RegExp]>([
    ['body', (r) => ({ ...r, body: Buffer.concat([r.body, Buffer.from(' ')]) }), /^400 InvalidSignatureException/],
    ['path', (r) => ({ ...r, path: '/?x=1' }), /^400 InvalidSignatureException/],
    ['method', (r) => ({ ...r, method: 'PUT' }), /^400 InvalidSignatureException/],
    ['target', (r) => withHeader(r, 'x-amz-target', () => 'Kinesis_20131202.DeleteStream'), /^400 InvalidSignatureException/],
    ['session token', (r) => withHeader(r, 'x-amz-security-token', () => 'other'), /^400 InvalidSignatureException/],
  ])('is refused with another %s', (_, change, expected) => {
    expect(verdict(change(request))).toMatch(expected)
  })

  it.each<[string, WireRequest, string]>([
    ['none', authorization(() => undefined), 'MissingAuthenticationTokenException'],
    ['another scheme', authorization(() => 'Bearer x'), 'MissingAuthenticationTokenException'],
    ['another algorithm', authorization((value) => value.replace('SHA256', 'SHA1')), 'IncompleteSignatureException'],
    ['no signature', authorization((value) => value.replace(/Signature=\w+/, '')), 'IncompleteSignatureException'],
    ['no credential', authorization((value) => value.replace(/Credential=[^,]+/, '')), 'IncompleteSignatureException'],
    ['a scope cut short', authorization((value) => value.replace('/aws4_request', '')), 'IncompleteSignatureException'],
    ['another terminator', authorization((value) => value.replace('aws4_request', 'aws5')), 'InvalidSignatureException'],
    ['another day in the scope', authorization((value) => value.replace('/2026', '/2025')), 'InvalidSignatureException'],
    ['no host signed', authorization((value) => value.replace(/(:authority|host);/, '')), 'InvalidSignatureException'],
    [
      'a signature that is no hex',
      authorization((value) => value.replace(/Signature=\w+/, 'Signature=zz')),
      'InvalidSignatureException',
    ],
    ['no date', withHeader(request, 'x-amz-date', () => undefined), 'IncompleteSignatureException'],
    [
      'a date that is none',
      withHeader(request, 'x-amz-date', (value) => `${value.slice(0, 8)}-oops`),
      'IncompleteSignatureException',
    ],
  ])('is refused with this in its signature: %s', (_, altered, code) => {
    expect(verdict(altered)).toContain(`400 ${code}: `)
  })
})
