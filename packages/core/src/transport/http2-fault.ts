import type { ClientHttp2Stream } from 'node:http2'

/** Where a connection goes, as connection-fault.ts reads it from an error. */
export interface Place {
  readonly hostname: string
  readonly port: string | number
}

/** A connection that broke, in the shape of the platform's own errors, so that it is classified as they are. */
export function connectionError(place: Place, message: string, options: { code?: string; cause?: unknown } = {}): Error {
  const error = new Error(message, options.cause === undefined ? undefined : { cause: options.cause })
  return Object.assign(error, { code: options.code ?? 'ECONNRESET', ...place })
}

/** An error that Node gave for a session. Where it knows no address, it is told. */
export function sessionFault(place: Place, error: Error): Error {
  if ('address' in error || 'errors' in error || 'hostname' in error) return error
  return connectionError(place, error.message, { ...codeOf(error), cause: error })
}

/** By number: https://www.rfc-editor.org/rfc/rfc9113#section-7 */
const RESETS = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
] as const

/** Why a stream is over that had not come to its end. `cause` is what Node said of it, if anything. */
export function streamFault(place: Place, stream: ClientHttp2Stream, cause: unknown): Error {
  if (cause instanceof Error && cause.name === 'AbortError') return cause
  const code = stream.rstCode
  const reset = code === 0 || code === undefined ? 'ended before its time' : `was reset (${RESETS[code] ?? code})`
  const said = cause instanceof Error ? `: ${cause.message}` : ''
  return connectionError(place, `A stream of the HTTP/2 connection ${reset}${said}`, { ...codeOf(cause), cause })
}

function codeOf(error: unknown): { code?: string } {
  const code: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, 'code') : undefined
  return typeof code === 'string' ? { code } : {}
}
