import { CborError, decodeCbor, encodeCbor } from '@shardwise/core/cbor'
import { decodeBase64, encodeBase64 } from './base64.js'
import { WireError } from './wire-error.js'

/** How values travel in one content type. The readers take a member's path for their message and throw SerializationException. */
export interface WireFormat {
  readonly contentType: string
  parse(body: Buffer): unknown
  bytes(path: string, value: unknown): Uint8Array
  timestamp(path: string, value: unknown): Date
  /** Bytes are Uint8Array and timestamps Date, at any depth. */
  write(output: object): Uint8Array
}

/** https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html: bytes are base64 text, timestamps seconds with a fraction. */
const json: WireFormat = {
  contentType: 'application/x-amz-json-1.1',
  parse(body) {
    try {
      return JSON.parse(body.toString('utf8'))
    } catch (error) {
      throw serialization(`The request body is not JSON: ${(error as Error).message}`)
    }
  },
  bytes(path, value) {
    const bytes = typeof value === 'string' ? decodeBase64(value) : undefined
    if (bytes === undefined) throw serialization(`${path} must be base64 text (standard alphabet, padded), got ${shown(value)}`)
    return bytes
  },
  timestamp(path, value) {
    const date = new Date(typeof value === 'number' ? Math.round(value * 1000) : Number.NaN)
    if (Number.isNaN(date.getTime()))
      throw serialization(`${path} must be a number of seconds since the epoch, got ${shown(value)}`)
    return date
  },
  write: (output) => Buffer.from(JSON.stringify(jsonValue(output))),
}

/** What the Java SDK speaks: byte strings, and timestamps as tag 1 around whole milliseconds. In requests a bare number will do. */
const cbor: WireFormat = {
  contentType: 'application/x-amz-cbor-1.1',
  parse(body) {
    try {
      return decodeCbor(body)
    } catch (error) {
      if (!(error instanceof CborError)) throw error
      throw serialization(`The request body is not CBOR: ${error.message}`)
    }
  },
  bytes(path, value) {
    if (!(value instanceof Uint8Array)) throw serialization(`${path} must be a byte string, got ${shown(value)}`)
    return value
  },
  timestamp(path, value) {
    const date = value instanceof Date ? value : new Date(typeof value === 'number' ? value : Number.NaN)
    if (Number.isNaN(date.getTime())) throw serialization(`${path} must be milliseconds since the epoch, got ${shown(value)}`)
    return date
  },
  write: encodeCbor,
}

/** The format of a Content-Type header, parameters apart; undefined when it is none of ours. */
export function formatOf(contentType: string | undefined): WireFormat | undefined {
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase()
  return [json, cbor].find((format) => format.contentType === type)
}

export const DEFAULT_FORMAT: WireFormat = json

export function serialization(message: string): WireError {
  return new WireError('SerializationException', 400, message)
}

/** A value as an error message shows it: its kind, and if it is short, itself. */
export function shown(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'string') return value.length <= 40 ? JSON.stringify(value) : `a text of ${value.length} characters`
  return typeof value === 'object' ? 'an object' : String(value)
}

function jsonValue(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return encodeBase64(value)
  if (value instanceof Date) return value.getTime() / 1000
  if (Array.isArray(value)) return value.map(jsonValue)
  const copy: Record<string, unknown> = {}
  for (const name of Object.keys(value)) {
    const member = jsonValue((value as Record<string, unknown>)[name])
    // Assigned, this one name would set the prototype instead.
    if (name === '__proto__') Object.defineProperty(copy, name, { value: member, enumerable: true })
    else copy[name] = member
  }
  return copy
}
