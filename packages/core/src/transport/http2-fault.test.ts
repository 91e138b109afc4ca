import { describe, expect, test } from 'vitest'
import { classifyFailure } from '../service-error.js'
import { sessionFault } from './http2-fault.js'

const place = { hostname: 'kinesis.example', port: 443 }
const coded = (code: string, members: object = {}): Error => Object.assign(new Error(`words about ${code}`), { code, ...members })

describe("an error of Node's session", () => {
  test.each([
    coded('ECONNREFUSED', { address: '10.0.0.1', port: 443, syscall: 'connect' }),
    coded('ENOTFOUND', { hostname: 'kinesis.example', syscall: 'getaddrinfo' }),
    Object.assign(new AggregateError([coded('ECONNREFUSED', { address: '::1', port: 443 })], ''), { code: 'ECONNREFUSED' }),
  ])('that says where is passed on as it is: %o', (error) => {
    expect(sessionFault(place, error)).toBe(error)
  })

  test.each([
    ['DEPTH_ZERO_SELF_SIGNED_CERT', false],
    ['ECONNRESET', true],
    ['ERR_HTTP2_SESSION_ERROR', true],
  ])('%s is told where', (code, retryable) => {
    const failed = classifyFailure(sessionFault(place, coded(code)))
    expect(failed).toMatchObject({ kind: 'connection', code, retryable, message: `words about ${code}` })
    expect(failed.advice).toContain('at kinesis.example:443')
  })
})
