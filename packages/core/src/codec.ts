import { Buffer } from 'node:buffer'
import { markAsUntransferable } from 'node:worker_threads'

export { type CompressedOptions, compressed } from './compressed-codec.js'
export type { DataKey, DataKeys, EncryptionContext, KeyRefusal } from './data-keys.js'
export { type EncryptedOptions, encrypted } from './encrypted-codec.js'
export { type KmsDataKeysOptions, type KmsLike, kmsDataKeys } from './kms-data-keys.js'

/** What a codec is told about the record beside its value. */
export interface CodecContext {
  /** Name or ARN of the stream, as the caller gave it. */
  readonly stream: string
  readonly partitionKey: string
  /** As the caller put them; undefined where there are none. */
  readonly headers: Readonly<Record<string, string>> | undefined
}

export type Decode<T> = (bytes: Uint8Array, context: CodecContext) => T

/**
 * Between what a program works with and the bytes of a record. `decode` undoes `encode`, which may put anything around the value, as the
 * framing of the Glue Schema Registry. What either throws refuses the record.
 *
 * Both are synchronous, since the order of puts is the order of their records: what must be fetched, such as a key or a schema, is fetched
 * before. For that are the other two, which producer and consumer call where they are there. A codec around another passes them on.
 */
export interface Codec<T> {
  /** The bytes are not copied: they must not change until the record has settled. Those of `json` and `text` may be a part of a larger ArrayBuffer. */
  encode(value: T, context: CodecContext): Uint8Array
  decode(bytes: Uint8Array, context: CodecContext): T
  /**
   * Asked before each `encode`. Undefined: it can be called at once. While a promise is pending puts wait in line and `offer` takes nothing; if it
   * rejects, they are refused. It must settle in time by itself.
   */
  readyToEncode?(): Promise<void> | undefined
  /**
   * Asked for each record before a handler gets it: what decodes these bytes, from now on and for as long as the record is kept. A rejection means
   * "not now": the shard waits, and asks again until it is there. What will never be had is told by what was given, which throws.
   */
  prepareDecode?(bytes: Uint8Array, context: CodecContext): Decode<T> | Promise<Decode<T>>
}

const BYTES: Codec<Uint8Array> = {
  encode: (value) => value,
  decode: (bytes) => bytes,
}

/** Bytes as they are. Always the same object, so that whoever has it need not call it. */
export function bytes(): Codec<Uint8Array> {
  return BYTES
}

const encoder = new TextEncoder()
const SLAB_BYTES = 8192
/** Of what texts share: their own, since of Node's pool each short text could keep alive as much of what others have put there. */
let slab: Buffer = Buffer.allocUnsafeSlow(0)
let slabUsed = 0

/**
 * In memory that short texts share, encoded one after the other.
 *
 * Measured on Node 20 (`npm run bench -- producer-noop-options`, with and without, in turns): with memory of its own for each text a record by `json` takes
 * 1.3 times as long.
 */
function utf8(text: string): Uint8Array {
  const most = 3 * text.length
  if (most > SLAB_BYTES / 2) return encoder.encode(text)
  if (slabUsed + most > slab.length) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
    markAsUntransferable(slab.buffer)
    slabUsed = 0
  }
  const start = slabUsed
  slabUsed += slab.write(text, start)
  return new Uint8Array(slab.buffer, start, slabUsed - start)
}

/** A byte order mark is a part of a text like any other character. */
const textDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** RFC 8259, section 8.1: a parser may ignore a byte order mark that someone has added. */
const jsonDecoder = new TextDecoder('utf-8', { fatal: true })

/**
 * JSON in UTF-8, as JSON.stringify and JSON.parse understand it: a Date becomes text, NaN null, and a property that is undefined disappears.
 * Refuses what has no JSON at all: undefined, functions, symbols, bigints and cycles. `T` is believed, not checked.
 */
export function json<T>(): Codec<T> {
  return {
    encode(value) {
      const text: string | undefined = JSON.stringify(value)
      if (text === undefined) throw new TypeError(`JSON has no form for this value, of type ${typeof value}`)
      return utf8(text)
    },
    decode: (bytes) => JSON.parse(jsonDecoder.decode(bytes)) as T,
  }
}

/** Text in UTF-8. Refuses half surrogate pairs, which have no UTF-8, and decodes only what is valid: each text comes back as it was. */
export function text(): Codec<string> {
  return {
    encode(value) {
      if (typeof value !== 'string') throw new TypeError(`a string was expected, got ${value === null ? 'null' : typeof value}`)
      if (!(value as string & { isWellFormed(): boolean }).isWellFormed()) {
        throw new TypeError('the text has half of a surrogate pair, which UTF-8 cannot express: cut texts between characters')
      }
      return utf8(value)
    },
    decode: (bytes) => textDecoder.decode(bytes),
  }
}
