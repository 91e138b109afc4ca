import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { classifyFailure, type FailureKind, withAdvice } from './service-error.js'

const retryable = true
const final = false

describe('by name', () => {
  const table: [FailureKind, boolean, 'no' | 'unknown', string[]][] = [
    [
      'throttled',
      retryable,
      'no',
      [
        'ProvisionedThroughputExceededException',
        'ThrottlingException',
        'Throttling',
        'ThrottledException',
        'RequestLimitExceeded',
        'RequestThrottledException',
        'TooManyRequestsException',
        'SlowDown',
      ],
    ],
    ['expired-iterator', final, 'no', ['ExpiredIteratorException']],
    ['not-found', final, 'no', ['ResourceNotFoundException', 'TableNotFoundException']],
    [
      'access-denied',
      final,
      'no',
      ['AccessDeniedException', 'AccessDenied', 'OptInRequired', 'NotAuthorized', 'UnauthorizedException'],
    ],
    [
      'credentials',
      final,
      'no',
      [
        'UnrecognizedClientException',
        'InvalidSignatureException',
        'SignatureDoesNotMatch',
        'InvalidClientTokenId',
        'IncompleteSignatureException',
        'MissingAuthenticationTokenException',
        'CredentialsProviderError',
        'TokenProviderError',
      ],
    ],
    ['credentials', retryable, 'no', ['ExpiredTokenException', 'ExpiredToken', 'RequestExpired', 'RequestTimeTooSkewed']],
    [
      'kms',
      final,
      'no',
      [
        'KMSAccessDeniedException',
        'KMSDisabledException',
        'KMSInvalidStateException',
        'KMSNotFoundException',
        'KMSOptInRequired',
      ],
    ],
    ['kms-throttled', retryable, 'no', ['KMSThrottlingException']],
    [
      'invalid',
      final,
      'no',
      [
        'InvalidArgumentException',
        'ValidationException',
        'ValidationError',
        'SerializationException',
        'UnknownOperationException',
        'ExpiredNextTokenException',
        'DryRunOperationException',
        'ItemCollectionSizeLimitExceededException',
        'MissingParameter',
      ],
    ],
    [
      'in-use',
      retryable,
      'no',
      ['ResourceInUseException', 'TableInUseException', 'TransactionConflictException', 'ReplicatedWriteConflictException'],
    ],
    ['limit-exceeded', retryable, 'no', ['LimitExceededException']],
    [
      'internal',
      retryable,
      'unknown',
      [
        'InternalFailureException',
        'InternalFailure',
        'InternalServerError',
        'InternalServerException',
        'ServiceUnavailable',
        'ServiceUnavailableException',
      ],
    ],
    ['conditional-check', final, 'no', ['ConditionalCheckFailedException']],
    ['timeout', retryable, 'unknown', ['TimeoutError', 'RequestTimeout', 'RequestTimeoutException']],
    ['aborted', final, 'unknown', ['AbortError']],
    ['unknown', final, 'unknown', ['LeaseLostError', 'TypeError', 'SomethingNewException']],
  ]
  for (const [kind, again, written, names] of table) {
    test.each(names)(`${kind}: %s`, (name) => {
      const error = Object.assign(new Error('what the service says'), { name })
      const failure = classifyFailure(error)
      expect(failure).toMatchObject({ kind, retryable: again, written, code: name, message: 'what the service says' })
      expect(failure.advice.length).toBeGreaterThan(20)
      expect(classifyFailure({ name: `com.amazonaws.kinesis#${name}` })).toMatchObject({ kind, written })
    })
  }
})

test('every error class of the Kinesis client has a meaning', async () => {
  const client: Record<string, unknown> = { ...(await import('@aws-sdk/client-kinesis')) }
  const names = Object.keys(client).filter(
    (name) => /Exception$|^KMS\w+Required$/.test(name) && name !== 'KinesisServiceException',
  )
  expect(names.length).toBeGreaterThan(15)
  for (const name of names) expect([name, classifyFailure({ name }).kind]).not.toEqual([name, 'unknown'])
})

describe('by HTTP status where the name says nothing', () => {
  test.each<[number, FailureKind, 'no' | 'unknown']>([
    [429, 'throttled', 'no'],
    [401, 'access-denied', 'no'],
    [403, 'access-denied', 'no'],
    [400, 'invalid', 'no'],
    [404, 'invalid', 'no'],
    [413, 'invalid', 'no'],
    [500, 'internal', 'unknown'],
    [502, 'internal', 'unknown'],
    [503, 'internal', 'unknown'],
    [200, 'internal', 'unknown'],
  ])('%i is %s', (httpStatusCode, kind, written) => {
    const error = Object.assign(new SyntaxError('Unexpected token <'), { $metadata: { httpStatusCode } })
    expect(classifyFailure(error)).toMatchObject({ kind, written, code: 'SyntaxError' })
  })
})

describe('advice', () => {
  const advice = (name: string, message = ''): string => classifyFailure({ name, message }).advice

  test('tells a missing stream from one that is being deleted', () => {
    expect(advice('ResourceNotFoundException')).toMatch(/Check the name, the region.*create it/)
    expect(advice('ResourceInUseException', 'Stream s under account 1 is DELETING, not ACTIVE')).toMatch(
      /being deleted.*another name/,
    )
    expect(classifyFailure({ name: 'ResourceInUseException', message: 'is DELETING' }).retryable).toBe(false)
    expect(advice('ResourceInUseException', 'is CREATING')).toMatch(/wait until its status is ACTIVE/)
  })

  test('tells wrong credentials from missing ones, expired ones and a wrong clock', () => {
    expect(advice('UnrecognizedClientException')).toMatch(/access key must exist/)
    expect(advice('CredentialsProviderError')).toMatch(/AWS_ACCESS_KEY_ID/)
    expect(advice('ExpiredTokenException')).toMatch(/log in again/)
    expect(advice('InvalidSignatureException', 'Signature expired: 2026 is now earlier than')).toMatch(/clock/)
    expect(advice('InvalidSignatureException', 'The request signature we calculated does not match')).toMatch(/secret must match/)
  })
})

describe('connection errors', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED ::1:4567'), {
    code: 'ECONNREFUSED',
    syscall: 'connect',
    address: '::1',
    port: 4567,
  })
  const refused4 = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:4567'), {
    ...refused,
    address: '127.0.0.1',
    port: 4567,
  })
  const notFound = Object.assign(new Error('getaddrinfo ENOTFOUND kinesis.nowhere'), {
    code: 'ENOTFOUND',
    hostname: 'kinesis.nowhere',
  })
  const coded = (code: string, more: object = {}): Error => Object.assign(new Error(code), { code, ...more })

  test.each<[string, unknown, object, RegExp]>([
    [
      'refused',
      refused,
      { kind: 'connection', code: 'ECONNREFUSED', retryable: true, written: 'no' },
      /at \[::1\]:4567 cannot be reached/,
    ],
    [
      'name not found',
      notFound,
      { kind: 'connection', code: 'ENOTFOUND', written: 'no' },
      /host name at kinesis.nowhere was not found/,
    ],
    ['name server', coded('EAI_AGAIN'), { kind: 'connection', written: 'no' }, /host name was not found/],
    ['no route', coded('EHOSTUNREACH', { address: '10.0.0.1', port: 443 }), { written: 'no' }, /10.0.0.1:443 cannot be reached/],
    ['reset', coded('ECONNRESET'), { kind: 'connection', retryable: true, written: 'unknown' }, /broke/],
    [
      'reset, as the SDK names it',
      coded('ECONNRESET', { name: 'TimeoutError' }),
      { kind: 'connection', written: 'unknown' },
      /broke/,
    ],
    [
      'https where http is spoken',
      Object.assign(new Error('Client network socket disconnected before secure TLS connection was established'), {
        code: 'ECONNRESET',
        host: '127.0.0.1',
        port: 4567,
      }),
      { kind: 'connection', retryable: true, written: 'no' },
      /at 127\.0\.0\.1:4567 does not speak the expected protocol: check http or https/,
    ],
    ['reset while connecting', coded('ECONNRESET', { syscall: 'connect' }), { kind: 'connection', written: 'no' }, /broke/],
    ['pipe', coded('EPIPE'), { kind: 'connection', written: 'unknown' }, /broke/],
    [
      'timed out',
      coded('ETIMEDOUT', { name: 'TimeoutError' }),
      { kind: 'timeout', retryable: true, written: 'unknown' },
      /can be reached/,
    ],
    ['timed out connecting', coded('ETIMEDOUT', { syscall: 'connect' }), { kind: 'timeout', written: 'no' }, /can be reached/],
    [
      "timed out connecting, in the SDK's words",
      Object.assign(new Error('the request socket did not establish a connection with the server within'), {
        name: 'TimeoutError',
      }),
      { kind: 'timeout', written: 'no' },
      /check the endpoint, network.* `connectTimeoutMs`$/,
    ],
    [
      'certificate',
      coded('DEPTH_ZERO_SELF_SIGNED_CERT'),
      { kind: 'connection', retryable: false, written: 'no' },
      /NODE_EXTRA_CA_CERTS/,
    ],
    ['not HTTP', coded('HPE_INVALID_CONSTANT'), { kind: 'connection', written: 'unknown' }, /http or https/],
    ['not HTTP/2', coded('ERR_HTTP2_ERROR'), { kind: 'connection', written: 'unknown' }, /protocol/],
    ['an HTTP/2 stream', coded('ERR_HTTP2_STREAM_ERROR'), { kind: 'connection', written: 'unknown' }, /connection broke/],
    ['a GOAWAY', coded('ERR_HTTP2_SESSION_ERROR'), { kind: 'connection', written: 'unknown' }, /connection broke/],
    [
      'both addresses tried',
      new AggregateError([refused, refused4], ''),
      { code: 'ECONNREFUSED', message: refused.message },
      /\[::1\]:4567/,
    ],
    [
      'an AggregateError with the code itself',
      Object.assign(new AggregateError([refused4], ''), { code: 'ECONNREFUSED' }),
      { code: 'ECONNREFUSED', written: 'no' },
      /127.0.0.1:4567/,
    ],
    [
      'as a cause',
      new Error('fetch failed', { cause: new Error('inner', { cause: notFound }) }),
      { code: 'ENOTFOUND' },
      /nowhere/,
    ],
  ])('%s', (_what, error, expected, advice) => {
    const failure = classifyFailure(error)
    expect(failure).toMatchObject(expected)
    expect(failure.advice).toMatch(advice)
  })

  test('missing credentials stay that, whatever caused them', () => {
    const error = Object.assign(new Error('Could not load credentials', { cause: refused }), { name: 'CredentialsProviderError' })
    expect(classifyFailure(error).kind).toBe('credentials')
  })

  test('an abort stays that, whatever it broke', () => {
    expect(classifyFailure(Object.assign(new Error('x', { cause: coded('ECONNRESET') }), { name: 'AbortError' })).kind).toBe(
      'aborted',
    )
    expect(classifyFailure(AbortSignal.abort().reason).kind).toBe('aborted')
  })

  test('a real refused connection, by both families', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    await new Promise((resolve) => server.close(resolve))
    const error: unknown = await fetch(`http://localhost:${port}`).catch((reason: unknown) => reason)
    const failure = classifyFailure(error)
    expect(failure).toMatchObject({ kind: 'connection', code: 'ECONNREFUSED', written: 'no' })
    expect(failure.advice).toContain(`:${port} cannot be reached`)
  })

  test('a circle of causes ends', () => {
    const error = new Error('a')
    error.cause = error
    expect(classifyFailure(error).kind).toBe('unknown')
  })
})

test('anything at all can be classified', () => {
  for (const value of [undefined, null, 'text', 7, {}, [], Symbol('s'), { name: 5, message: {} }]) {
    expect(classifyFailure(value)).toMatchObject({ kind: 'unknown', written: 'unknown', retryable: false })
  }
  fc.assert(fc.property(fc.anything(), (value) => typeof classifyFailure(value).advice === 'string'))
})

test.each([
  ['Stream x not found.', 'Create it', 'Stream x not found. Create it'],
  ['Stream x not found', 'Create it', 'Stream x not found. Create it'],
])('withAdvice ends the sentence once: %s', (message, advice, text) => {
  expect(withAdvice({ message, advice })).toBe(text)
})
