import { inspect } from 'node:util'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { millisOf, RequestSignature } from './request-signature.js'
import type { SdkRequest } from './request-template.js'
import { expectedSignature } from './testing/signature.js'

const DAY_MS = 86_400_000
const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
const identity = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: SECRET }
const names = ['content-length', 'content-type', 'host', 'x-amz-content-sha256', 'x-amz-date', 'x-amz-target']

/** As the SDK has signed it, by the specification. */
function signed({ token, secret = SECRET }: { readonly token?: string; readonly secret?: string } = {}): SdkRequest {
  const signedHeaders = token === undefined ? names : [...names.slice(0, 5), 'x-amz-security-token', ...names.slice(5)]
  const body = Buffer.from('{}')
  const headers: Record<string, string> = {
    'content-type': 'application/x-amz-json-1.1',
    'user-agent': 'aws-sdk-js',
    'x-amz-target': 'Kinesis_20131202.GetRecords',
    host: 'kinesis.eu-west-1.amazonaws.com',
    'content-length': '2',
    'x-amz-date': '20260228T235959Z',
    'x-amz-content-sha256': '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
    ...(token !== undefined && { 'x-amz-security-token': token }),
    authorization: `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260228/eu-west-1/kinesis/aws4_request, SignedHeaders=${signedHeaders.join(';')}, Signature=`,
  }
  headers.authorization += expectedSignature({ method: 'POST', path: '/', headers, body }, secret)
  return { protocol: 'https:', hostname: 'x', path: '/', method: 'POST', query: {}, headers, body }
}

test.each([undefined, 'token'])('signs any body at any time, with any credentials of its kind (session token: %s)', (token) => {
  const signature = RequestSignature.of(signed(token === undefined ? {} : { token }), {
    ...identity,
    ...(token !== undefined && { sessionToken: token }),
  })!
  const inputs = [fc.string({ unit: 'grapheme' }), fc.integer({ min: 0, max: 4 * DAY_MS }), fc.string({ minLength: 1 })] as const
  fc.assert(
    fc.property(...inputs, (text, laterMs, secretAccessKey) => {
      const time = Date.parse('2026-02-27T12:00:00Z') + laterMs
      const body = Buffer.from(text)
      const sessionToken = token && `${token}-${laterMs}`
      const headers = signature.headers(
        body,
        { accessKeyId: 'OTHER', secretAccessKey, ...(sessionToken && { sessionToken }) },
        time,
      )!
      const request = { method: 'POST', path: '/', headers, body }
      expect(headers.authorization).toMatch(
        new RegExp(`Credential=OTHER/.*Signature=${expectedSignature(request, secretAccessKey)}$`),
      )
      expect([headers['content-length'], headers['x-amz-security-token']]).toEqual([String(body.length), sessionToken])
      expect(millisOf(headers['x-amz-date']!)).toBe(Math.floor(time / 1000) * 1000)
    }),
  )
})

test('credentials of another kind are not its own', () => {
  const signature = RequestSignature.of(signed(), identity)!
  for (const other of [{ ...identity, sessionToken: 't' }, { ...identity, secretAccessKey: undefined }, {}])
    expect(signature.headers('', other, 0)).toBeUndefined()
})

const { headers } = signed()
test.each<[string, Partial<SdkRequest>]>([
  ['another signature', { headers: signed({ secret: 'other' }).headers }],
  ['another body', { body: Buffer.from('{ }') }],
  ['a body that is a stream', { body: {} }],
  ['another way', { path: '/a' }],
  ['a header that was changed', { headers: { ...headers, host: 'b' } }],
  ['another length', { headers: { ...headers, 'content-length': '3' } }],
  ['another algorithm', { headers: { ...headers, authorization: headers.authorization!.replace('AWS4-', 'AWS4-ECDSA-') } }],
  ['no time', { headers: { ...headers, 'x-amz-date': 'now' } }],
  ['no signature', { headers: {} }],
])('nothing is learned from a request with %s', (_, other) => {
  expect(RequestSignature.of({ ...signed(), ...other }, identity)).toBeUndefined()
})

test('shows no secret', () => {
  const signature = RequestSignature.of(signed({ token: 'token' }), { ...identity, sessionToken: 'token' })
  expect(inspect(signature, { depth: 9, showHidden: true })).not.toMatch(/wJalr|token/)
})
