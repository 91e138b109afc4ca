import type { ServiceFailure } from './service-error.js'

/** The platform's codes of faults before a request could be sent: https://nodejs.org/api/errors.html#common-system-errors */
const NOT_SENT: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EAI_FAIL',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
])
/** Faults that may hit a request under way. */
const BROKEN: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ENOTCONN',
  'EPROTO',
  'ERR_STREAM_PREMATURE_CLOSE',
])
const TIMED_OUT: ReadonlySet<string> = new Set(['ETIMEDOUT', 'ESOCKETTIMEDOUT'])
/** Node's names of a certificate that is not trusted: https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const CERTIFICATE =
  /^(CERT_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|ERR_TLS_CERT_|HOSTNAME_MISMATCH|CRL_)/
/** Node's words when the other side hangs up in the TLS handshake, under the code of any reset connection: nothing was sent yet. */
const IN_HANDSHAKE = /before secure TLS connection was established/
/** An HTTP/2 connection or stream that the other side ended, where others of Node's codes say that it spoke no HTTP/2. */
const ENDED = /^ERR_HTTP2_(SESSION_ERROR|STREAM_ERROR|STREAM_CANCEL|GOAWAY_SESSION|INVALID_SESSION|INVALID_STREAM)$/
const PROTOCOL = /^(HPE_|ERR_HTTP2_|ERR_SSL_|NGHTTP2_)/

/** A chain of causes longer than this is not looked through: it may run in a circle. */
const MOST_CAUSES = 16

interface Fault {
  readonly code: string
  readonly source: object
}

/** The failure of the connection that this error is, or was caused by. Undefined when it is something else. */
export function connectionFault(error: unknown): ServiceFailure | undefined {
  const fault = findFault(error)
  if (fault === undefined) return undefined
  const { code, source } = fault
  const where = endpointOf(source)
  const message = stringIn(source, 'message') ?? stringIn(error, 'message') ?? code
  const connecting = stringIn(source, 'syscall') === 'connect'
  const shakingHands = IN_HANDSHAKE.test(message)
  const sent = !NOT_SENT.has(code) && !connecting && !shakingHands
  if (TIMED_OUT.has(code)) {
    const advice = `No answer${where} in time: check that the endpoint can be reached from here (address, network, proxy, firewall)`
    return { kind: 'timeout', code, message, retryable: true, written: sent ? 'unknown' : 'no', advice }
  }
  if (CERTIFICATE.test(code)) {
    const advice = `The TLS certificate${where} is not trusted: check the endpoint, or give its authority in NODE_EXTRA_CA_CERTS`
    return { kind: 'connection', code, message, retryable: false, written: 'no', advice }
  }
  const advice = adviceFor(shakingHands ? 'EPROTO' : code, where)
  return { kind: 'connection', code, message, retryable: true, written: sent ? 'unknown' : 'no', advice }
}

function adviceFor(code: string, where: string): string {
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'EAI_FAIL') {
    return `The host name${where} was not found: check the endpoint, the region and the name server`
  }
  if (NOT_SENT.has(code))
    return `The endpoint${where} cannot be reached: check its address and port, and that the service is running there`
  if (code === 'EPROTO' || (PROTOCOL.test(code) && !ENDED.test(code))) {
    return `The endpoint${where} does not speak the expected protocol: check http or https in the endpoint, and any proxy between`
  }
  return `The connection${where} broke: try again; if it lasts check the network and any proxy between`
}

/** The first connection fault in the error, its causes, and the attempts that an AggregateError lists. */
function findFault(error: unknown): Fault | undefined {
  const queue: unknown[] = [error]
  for (let i = 0; i < queue.length && i < MOST_CAUSES; i++) {
    const source = queue[i]
    if (typeof source !== 'object' || source === null) continue
    // An AggregateError of attempts to connect has the code too, and its attempts know the address.
    const attempts: unknown = Reflect.get(source, 'errors')
    if (Array.isArray(attempts)) queue.splice(i + 1, 0, ...attempts.slice(0, MOST_CAUSES))
    queue.push(Reflect.get(source, 'cause'))
    const code = stringIn(source, 'code')
    if (code !== undefined && isConnectionCode(code) && !(Array.isArray(attempts) && attempts.some(hasConnectionCode))) {
      return { code, source }
    }
  }
  return undefined
}

function hasConnectionCode(error: unknown): boolean {
  const code = stringIn(error, 'code')
  return code !== undefined && isConnectionCode(code)
}

function isConnectionCode(code: string): boolean {
  return NOT_SENT.has(code) || BROKEN.has(code) || TIMED_OUT.has(code) || CERTIFICATE.test(code) || PROTOCOL.test(code)
}

/** ` at host:port`, as far as the error knows them. */
function endpointOf(source: object): string {
  const host = stringIn(source, 'hostname') ?? stringIn(source, 'host') ?? stringIn(source, 'address')
  const port: unknown = Reflect.get(source, 'port')
  if (host === undefined) return ''
  const shownHost = host.includes(':') ? `[${host}]` : host
  return typeof port === 'number' || typeof port === 'string' ? ` at ${shownHost}:${port}` : ` at ${shownHost}`
}

function stringIn(value: unknown, key: string): string | undefined {
  const given: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
  return typeof given === 'string' && given !== '' ? given : undefined
}
