import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { WireRequest } from './http-exchange.js'
import { WireError } from './wire-error.js'

/** The key pair that requests must be signed with. */
export interface SigningKey {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** Kinesis and DynamoDB refuse requests signed further than this from their own time. */
const MAX_SKEW_MS = 5 * 60_000

/**
 * Checks the Signature Version 4 in a request's headers
 * (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html) and throws the error the service answers
 * with: MissingAuthenticationTokenException, IncompleteSignatureException, UnrecognizedClientException (unknown key id),
 * InvalidSignatureException (wrong secret, altered request, wrong date). Any region is accepted, as this endpoint stands for all.
 */
export function verifySignature(request: WireRequest, expected: { key: SigningKey; service: string; wallTime: number }): void {
  const authorization = one(request, 'authorization')
  if (authorization === undefined || !authorization.startsWith('AWS4-')) {
    throw new WireError('MissingAuthenticationTokenException', 400, 'Missing Authentication Token')
  }
  const { credential, signedHeaders, signature } = parameters(request, authorization)
  const timestamp = one(request, 'x-amz-date') ?? ''
  const scope = credential.split('/')
  if (scope.length !== 5) {
    throw incomplete(
      `Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '${credential}'`,
    )
  }
  const [keyId = '', date = '', region = '', service = '', terminator = ''] = scope
  checkScope({ date, service, terminator, timestamp }, expected.service)
  checkSkew(timestamp, expected.wallTime)
  if (keyId !== expected.key.accessKeyId) {
    throw new WireError('UnrecognizedClientException', 400, 'The security token included in the request is invalid.')
  }
  const names = signedHeaders.split(';')
  if (!names.includes('host') && !names.includes(':authority')) {
    throw invalid(`'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.`)
  }
  const toSign = ['AWS4-HMAC-SHA256', timestamp, scope.slice(1).join('/'), sha256(canonicalRequest(request, names))].join('\n')
  const signingKey = [date, region, service, terminator].reduce<string | Buffer>(hmac, `AWS4${expected.key.secretAccessKey}`)
  const calculated = hmac(signingKey, toSign)
  const given = Buffer.from(signature, 'hex')
  if (given.length !== calculated.length || !timingSafeEqual(given, calculated)) {
    throw invalid(
      'The request signature we calculated does not match the signature you provided. ' +
        'Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
    )
  }
}

function parameters(
  request: WireRequest,
  authorization: string,
): { credential: string; signedHeaders: string; signature: string } {
  const algorithm = authorization.split(' ', 1)[0]!
  if (algorithm !== 'AWS4-HMAC-SHA256') {
    throw incomplete(`Unsupported AWS 'algorithm': '${algorithm}' (only AWS4-HMAC-SHA256 for now).`)
  }
  const given = new Map<string, string>()
  for (const pair of authorization.slice(algorithm.length).split(',')) {
    const [name = '', value = ''] = pair.trim().split('=')
    given.set(name, value)
  }
  const missing = ['Credential', 'Signature', 'SignedHeaders'].filter((name) => (given.get(name) ?? '') === '')
  const faults = missing.map((name) => `Authorization header requires '${name}' parameter.`)
  if (one(request, 'x-amz-date') === undefined) faults.push(`Authorization header requires existence of an 'X-Amz-Date' header.`)
  if (faults.length > 0) throw incomplete(`${faults.join(' ')} Authorization=${authorization}`)
  return { credential: given.get('Credential')!, signedHeaders: given.get('SignedHeaders')!, signature: given.get('Signature')! }
}

function checkScope(given: { date: string; service: string; terminator: string; timestamp: string }, service: string): void {
  const faults: string[] = []
  if (given.service !== service) faults.push(`Credential should be scoped to correct service: '${service}'.`)
  if (given.terminator !== 'aws4_request') {
    faults.push(`Credential should be scoped with a valid terminator: 'aws4_request', not '${given.terminator}'.`)
  }
  if (given.date !== given.timestamp.slice(0, 8)) {
    faults.push(
      `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${given.date}' != ` +
        `'${given.timestamp.slice(0, 8)}', from '${given.timestamp}'.`,
    )
  }
  if (faults.length > 0) throw invalid(faults.join(' '))
}

function checkSkew(timestamp: string, wallTime: number): void {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(timestamp)
  if (parts === null) throw incomplete(`Date must be in ISO-8601 'basic format'. Got '${timestamp}'.`)
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.slice(1).map(Number)
  const signedAt = Date.UTC(year, month - 1, day, hour, minute, second)
  const now = basicFormat(wallTime)
  if (signedAt < wallTime - MAX_SKEW_MS) {
    throw invalid(`Signature expired: ${timestamp} is now earlier than ${basicFormat(wallTime - MAX_SKEW_MS)} (${now} - 5 min.)`)
  }
  if (signedAt > wallTime + MAX_SKEW_MS) {
    throw invalid(
      `Signature not yet current: ${timestamp} is still later than ${basicFormat(wallTime + MAX_SKEW_MS)} (${now} + 5 min.)`,
    )
  }
}

function canonicalRequest(request: WireRequest, names: readonly string[]): string {
  const [path = '/', query = ''] = request.path.split('?', 2)
  const headers = names.map((name) => `${name}:${signedValue(request, name)}\n`).join('')
  const sortedQuery = query.split('&').sort().join('&')
  return [request.method, path, sortedQuery, headers, names.join(';'), sha256(request.body)].join('\n')
}

/** HTTP/2 carries what HTTP/1.1 calls Host in `:authority`; clients sign either name. */
function signedValue(request: WireRequest, name: string): string {
  const value = one(request, name) ?? (name === 'host' ? one(request, ':authority') : undefined) ?? ''
  return value.trim().replace(/\s+/g, ' ')
}

function one(request: WireRequest, name: string): string | undefined {
  const value = request.headers[name]
  return typeof value === 'object' ? value.join(',') : value
}

function basicFormat(wallTime: number): string {
  return new Date(wallTime).toISOString().replace(/[-:]|\.\d+/g, '')
}

function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

function hmac(key: string | Buffer, content: string): Buffer {
  return createHmac('sha256', key).update(content).digest()
}

function incomplete(message: string): WireError {
  return new WireError('IncompleteSignatureException', 400, message)
}

function invalid(message: string): WireError {
  return new WireError('InvalidSignatureException', 400, message)
}
