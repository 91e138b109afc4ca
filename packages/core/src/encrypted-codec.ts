import { createCipheriv, createDecipheriv, KeyObject, randomFillSync } from 'node:crypto'
import type { Codec, CodecContext, Decode } from './codec.js'
import { CODEC_AES_256_GCM, codecIn, FRAME_BYTES, writeFrame } from './codec-frame.js'
import type { DataKeys, EncryptionContext } from './data-keys.js'
import { DecodingKeys, type FoundKey } from './decoding-keys.js'
import { EncodingKey } from './encoding-key.js'
import { checkKeyLimits, KEY_LIMITS_OPTIONS, type KeyLimitsOptions } from './key-limits.js'
import { booleanOption, functionsOption, InvalidOptionError, refuseUnknownOptions } from './options.js'

export interface EncryptedOptions extends KeyLimitsOptions {
  /** Where the data keys come from: `kmsDataKeys({ kms, keyId })`, or a key service of yours. */
  readonly keys: DataKeys
  /**
   * Bound to each data key and each record: a reader needs the same. AWS KMS logs it and can be told to insist on it. No secrets. Default: none. For
   * instance `{ stream: 'flights' }`, so that records copied from another stream are refused.
   */
  readonly context?: EncryptionContext | undefined
  /**
   * Reads records that are not encrypted, too, that were written before. Default false: they are refused, since whoever may put records to the
   * stream could slip one in.
   */
  readonly acceptPlain?: boolean | undefined
  /** A key for writing could not be had: of interest while the last one still serves. A put that needs one is refused with the same error. */
  readonly onKeyFailure?: ((error: unknown) => void) | undefined
}

const LENGTH_BYTES = 2
const NONCE_BYTES = 12
const TAG_BYTES = 16
const AROUND = FRAME_BYTES + LENGTH_BYTES + NONCE_BYTES + TAG_BYTES
const ALGORITHM = 'aes-256-gcm'

/**
 * Encrypts what `codec` makes: AES-256-GCM with data keys that serve many records, each record carrying its own in wrapped form. Partition key and context are
 * authenticated with it, so that a record neither changes nor moves to another key unnoticed. Partition keys, explicit hash keys, headers and ids are
 * not encrypted, and lengths show. 36 bytes and the wrapped key are added to each record.
 */
export function encrypted<T>(
  codec: Codec<T>,
  options: EncryptedOptions,
): Codec<T> & Required<Pick<Codec<T>, 'readyToEncode' | 'prepareDecode'>> {
  return new EncryptedCodec(codec, options)
}

export class EncryptedCodec<T> implements Codec<T> {
  readonly #inner: Codec<T>
  readonly #acceptPlain: boolean
  readonly #context: Uint8Array
  readonly #encoding: EncodingKey
  readonly #decoding: DecodingKeys

  constructor(inner: Codec<T>, options: EncryptedOptions) {
    if (typeof options !== 'object' || options === null) throw new InvalidOptionError('options', '{ keys, … }', options)
    refuseUnknownOptions(options, ['keys', 'context', 'acceptPlain', 'onKeyFailure', ...KEY_LIMITS_OPTIONS])
    this.#inner = functionsOption('codec', inner, ['encode', 'decode'])
    if (inner instanceof EncryptedCodec) throw new InvalidOptionError('codec', 'encrypted once', inner)
    const keys = functionsOption('keys', options.keys, ['generate', 'decrypt'])
    const context = checkContext(options.context)
    this.#acceptPlain = booleanOption('acceptPlain', options.acceptPlain, false)
    const { onKeyFailure } = options
    if (onKeyFailure !== undefined && typeof onKeyFailure !== 'function') {
      throw new InvalidOptionError('onKeyFailure', 'a function', onKeyFailure)
    }
    const limits = checkKeyLimits(options)
    this.#context = Buffer.from(JSON.stringify(Object.entries(context)))
    this.#encoding = new EncodingKey({ keys, context, limits, failed: (error) => told(onKeyFailure, error) })
    this.#decoding = new DecodingKeys({ keys, context, limits })
  }

  readyToEncode(): Promise<void> | undefined {
    const own = this.#encoding.ready()
    const inner = this.#inner.readyToEncode?.()
    return own === undefined || inner === undefined ? (own ?? inner) : Promise.all([own, inner]).then(() => {})
  }

  encode(value: T, context: CodecContext): Uint8Array {
    const plain = this.#inner.encode(value, context)
    const { key, wrapped } = this.#encoding.use(plain.length)
    const out = Buffer.allocUnsafe(AROUND + wrapped.length + plain.length)
    writeFrame(out, CODEC_AES_256_GCM)
    out.writeUInt16BE(wrapped.length, FRAME_BYTES)
    out.set(wrapped, FRAME_BYTES + LENGTH_BYTES)
    const nonceAt = FRAME_BYTES + LENGTH_BYTES + wrapped.length
    const textAt = nonceAt + NONCE_BYTES
    randomFillSync(out, nonceAt, NONCE_BYTES)
    const cipher = createCipheriv(ALGORITHM, key, out.subarray(nonceAt, textAt))
    cipher.setAAD(this.#authenticated(out.subarray(0, nonceAt), context))
    out.set(cipher.update(plain), textAt)
    cipher.final()
    out.set(cipher.getAuthTag(), textAt + plain.length)
    return out
  }

  /** Throws unless the record's key is here: await `prepareDecode` first, as the consumer does. */
  decode(bytes: Uint8Array, context: CodecContext): T {
    const wrapped = this.#wrappedIn(bytes)
    if (wrapped === undefined) return this.#inner.decode(bytes, context)
    const key = this.#decoding.get(wrapped)
    if (key === undefined) {
      throw new Error(
        'the data key of the record is not here: await prepareDecode(bytes, context) of the codec, and decode with what it gives',
      )
    }
    return this.#innerDecoded(this.#inner.decode, this.#opened(bytes, context, key), context)
  }

  /** Never throws: what cannot be read is told by what it gives. Rejects when the key service does not answer for now. */
  prepareDecode(bytes: Uint8Array, context: CodecContext): Decode<T> | Promise<Decode<T>> {
    let wrapped: Uint8Array | undefined
    try {
      wrapped = this.#wrappedIn(bytes)
    } catch (error) {
      return () => {
        throw error
      }
    }
    if (wrapped === undefined) return this.#inner.prepareDecode?.(bytes, context) ?? this.#inner.decode.bind(this.#inner)
    const key = this.#decoding.find(wrapped)
    return key instanceof Promise
      ? key.then((found) => this.#prepared(bytes, context, found))
      : this.#prepared(bytes, context, key)
  }

  /** With the key in hand, whatever the cache forgets meanwhile. */
  #prepared(bytes: Uint8Array, context: CodecContext, key: FoundKey): Decode<T> | Promise<Decode<T>> {
    const through =
      (decode: Decode<T>): Decode<T> =>
      (again, its) =>
        this.#innerDecoded(decode, this.#opened(again, its, key), its)
    if (this.#inner.prepareDecode === undefined) return through(this.#inner.decode)
    let plain: Uint8Array
    try {
      plain = this.#opened(bytes, context, key)
    } catch (error) {
      return () => {
        throw error
      }
    }
    const inner = this.#inner.prepareDecode(plain, context)
    return inner instanceof Promise ? inner.then(through) : through(inner)
  }

  /** Its error may quote what was secret, as that of JSON.parse does: it goes no further. */
  #innerDecoded(decode: Decode<T>, plain: Uint8Array, context: CodecContext): T {
    try {
      return decode.call(this.#inner, plain, context)
    } catch (error) {
      const name = error instanceof Error ? error.name : typeof error
      throw new Error(`the record was decrypted, and the codec within has refused it (${name}; its message may quote the record)`)
    }
  }

  /** Undefined: the record is not encrypted, and may be so. */
  #wrappedIn(bytes: Uint8Array): Uint8Array | undefined {
    if (codecIn(bytes) !== CODEC_AES_256_GCM) {
      if (this.#acceptPlain) return undefined
      throw new Error('the record is not encrypted: with `acceptPlain` such records, written before encrypted(), are read, too')
    }
    if (bytes.length < AROUND) throw new Error(`the encrypted record is cut short: it has ${bytes.length} bytes`)
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint16(FRAME_BYTES)
    if (length === 0 || length > bytes.length - AROUND)
      throw new Error('the encrypted record is cut short, or its frame is damaged')
    return bytes.subarray(FRAME_BYTES + LENGTH_BYTES, FRAME_BYTES + LENGTH_BYTES + length)
  }

  #opened(bytes: Uint8Array, context: CodecContext, key: FoundKey): Uint8Array {
    if (!(key instanceof KeyObject)) {
      const { refused } = key
      const problem = refused instanceof Error ? `${refused.name}: ${refused.message}` : String(refused)
      throw new Error(
        `the key service refuses the data key of the record (${problem}): another key or context wrote it, or it was altered`,
        {
          cause: refused,
        },
      )
    }
    const nonceAt = FRAME_BYTES + LENGTH_BYTES + ((bytes[FRAME_BYTES]! << 8) | bytes[FRAME_BYTES + 1]!)
    const textAt = nonceAt + NONCE_BYTES
    const tagAt = bytes.length - TAG_BYTES
    const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(nonceAt, textAt), { authTagLength: TAG_BYTES })
    decipher.setAAD(this.#authenticated(bytes.subarray(0, nonceAt), context))
    decipher.setAuthTag(bytes.subarray(tagAt))
    try {
      const plain = decipher.update(bytes.subarray(textAt, tagAt))
      decipher.final()
      return plain
    } catch {
      throw new Error('the record was altered, or was written under another partition key or context: it does not authenticate')
    }
  }

  /** The frame says by itself where it ends, and so does the context's JSON. */
  #authenticated(frame: Uint8Array, { partitionKey }: CodecContext): Uint8Array {
    return Buffer.concat([frame, this.#context, Buffer.from(partitionKey)])
  }
}

function checkContext(given: EncryptionContext | undefined): EncryptionContext {
  const context = given ?? {}
  const isPairs = typeof context === 'object' && !Array.isArray(context)
  if (!isPairs || Object.entries(context).some(([name, value]) => name === '' || typeof value !== 'string')) {
    throw new InvalidOptionError('context', 'texts by name', given)
  }
  // One order, whoever wrote it down.
  return Object.fromEntries(Object.entries(context).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function told(onKeyFailure: ((error: unknown) => void) | undefined, error: unknown): void {
  try {
    onKeyFailure?.(error)
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown
    })
  }
}
