import zlib from 'node:zlib'
import type { Codec, CodecContext, Decode } from './codec.js'
import { CODEC_AES_256_GCM, CODEC_GZIP, CODEC_STORED, CODEC_ZSTD, codecIn, FRAME_BYTES, writeFrame } from './codec-frame.js'
import { EncryptedCodec } from './encrypted-codec.js'
import {
  booleanOption,
  choiceOption,
  functionsOption,
  InvalidOptionError,
  integerOption,
  refuseUnknownOptions,
} from './options.js'

export interface CompressedOptions {
  /**
   * What is written; either is read. Default 'gzip'. 'zstd' needs Node 22.15 or 23.8, also with all who read: it is smaller and faster.
   */
  readonly algorithm?: 'gzip' | 'zstd' | undefined
  /**
   * Bytes that a value may have before compression, and after decompression: a few bytes may claim to be gigabytes. Default 16 MiB; 1 to 1 GiB.
   * A larger one is refused by `encode`, and by `decode` before it is decompressed.
   */
  readonly maxBytes?: number | undefined
  /** Reads records without this frame, too, that were written before there was compression, as they are. Default false: they are refused. */
  readonly acceptPlain?: boolean | undefined
}

/** Of node:zlib since 22.15 and 23.8, of which the types for Node 20 know nothing. */
interface Zstd {
  readonly zstdCompressSync?: (bytes: Uint8Array) => Buffer
  readonly zstdDecompressSync?: (bytes: Uint8Array, options: zlib.ZlibOptions & { params: Record<number, number> }) => Buffer
  readonly constants: { readonly ZSTD_d_windowLogMax?: number }
}
const zstd = zlib as Zstd

const MIB = 1024 * 1024
const LENGTH_BYTES = 4
const HEADER_BYTES = FRAME_BYTES + LENGTH_BYTES
/** Below it nothing is gained, and compressing costs as much as all else that happens to a record. */
const WORTH_TRYING_BYTES = 128
/** What zstd's highest ordinary level uses. A frame may ask for two gigabytes. */
const ZSTD_WINDOW_LOG = 23

/** Compresses what `codec` makes. What would not become smaller is left as it is; the frame says so. Encrypt after it: `encrypted(compressed(json()), …)`. */
export function compressed<T>(codec: Codec<T>, options: CompressedOptions = {}): Codec<T> {
  return new CompressedCodec(codec, options)
}

class CompressedCodec<T> implements Codec<T> {
  readonly #inner: Codec<T>
  readonly #algorithm: 'gzip' | 'zstd'
  readonly #maxBytes: number
  readonly #acceptPlain: boolean
  readonly readyToEncode?: () => Promise<void> | undefined
  readonly prepareDecode?: (bytes: Uint8Array, context: CodecContext) => Decode<T> | Promise<Decode<T>>

  constructor(inner: Codec<T>, options: CompressedOptions) {
    refuseUnknownOptions(options, ['algorithm', 'maxBytes', 'acceptPlain'])
    this.#inner = functionsOption('codec', inner, ['encode', 'decode'])
    if (inner instanceof EncryptedCodec) {
      throw new InvalidOptionError('codec', 'compressed before it is encrypted: encrypted(compressed(…), …)', inner)
    }
    this.#algorithm = choiceOption('algorithm', options.algorithm, ['gzip', 'zstd'], 'gzip')
    if (this.#algorithm === 'zstd' && zstd.zstdCompressSync === undefined) {
      throw new InvalidOptionError(
        'algorithm',
        `'gzip' on Node ${process.versions.node}: zstd needs 22.15, 23.8 or newer`,
        'zstd',
      )
    }
    this.#maxBytes = integerOption('maxBytes', options.maxBytes, { min: 1, max: 1024 * MIB, fallback: 16 * MIB })
    this.#acceptPlain = booleanOption('acceptPlain', options.acceptPlain, false)
    if (inner.readyToEncode !== undefined) this.readyToEncode = () => inner.readyToEncode!()
    if (inner.prepareDecode !== undefined) this.prepareDecode = (bytes, context) => this.#prepare(bytes, context)
  }

  encode(value: T, context: CodecContext): Uint8Array {
    const bytes = this.#inner.encode(value, context)
    const { length } = bytes
    if (length > this.#maxBytes) {
      throw new Error(`it has ${length} bytes before compression, and \`maxBytes\` of the codec is ${this.#maxBytes}`)
    }
    const packed = length < WORTH_TRYING_BYTES ? undefined : this.#compress(bytes)
    if (packed === undefined || packed.length + LENGTH_BYTES >= length) {
      const stored = new Uint8Array(FRAME_BYTES + length)
      writeFrame(stored, CODEC_STORED)
      stored.set(bytes, FRAME_BYTES)
      return stored
    }
    const out = Buffer.allocUnsafe(HEADER_BYTES + packed.length)
    writeFrame(out, this.#algorithm === 'gzip' ? CODEC_GZIP : CODEC_ZSTD)
    out.writeUInt32BE(length, FRAME_BYTES)
    out.set(packed, HEADER_BYTES)
    return out
  }

  decode(bytes: Uint8Array, context: CodecContext): T {
    return this.#inner.decode(this.#expanded(bytes), context)
  }

  #prepare(bytes: Uint8Array, context: CodecContext): Decode<T> | Promise<Decode<T>> {
    const expanding =
      (decode: Decode<T>): Decode<T> =>
      (again, its) =>
        decode(this.#expanded(again), its)
    const prepared = this.#inner.prepareDecode!(this.#expanded(bytes), context)
    return prepared instanceof Promise ? prepared.then(expanding) : expanding(prepared)
  }

  #compress(bytes: Uint8Array): Uint8Array {
    return this.#algorithm === 'gzip' ? zlib.gzipSync(bytes) : zstd.zstdCompressSync!(bytes)
  }

  #expanded(bytes: Uint8Array): Uint8Array {
    const codec = codecIn(bytes)
    if (codec === CODEC_STORED) return this.#bounded(bytes.subarray(FRAME_BYTES))
    if (codec === CODEC_GZIP || codec === CODEC_ZSTD) return this.#decompressed(codec, bytes)
    if (codec === CODEC_AES_256_GCM) throw new Error('the record is encrypted: read it with encrypted(compressed(…), { keys })')
    if (codec !== undefined) throw new Error(`the record was written by codec ${codec}, of which this Shardwise knows nothing`)
    if (this.#acceptPlain) return bytes
    throw new Error('the record has no frame of compressed(): with `acceptPlain` such records, written before it, are read, too')
  }

  #bounded(bytes: Uint8Array): Uint8Array {
    if (bytes.length > this.#maxBytes) throw this.#tooLarge(bytes.length)
    return bytes
  }

  #decompressed(codec: number, bytes: Uint8Array): Uint8Array {
    if (bytes.length < HEADER_BYTES) throw new Error('the compressed record is cut short')
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(FRAME_BYTES)
    if (length > this.#maxBytes) throw this.#tooLarge(length)
    const body = bytes.subarray(HEADER_BYTES)
    let out: Uint8Array
    try {
      // Memory is bounded by what the frame claims, whatever the compressed bytes say. zlib takes no zero.
      const maxOutputLength = Math.max(length, 1)
      out = codec === CODEC_GZIP ? zlib.gunzipSync(body, { maxOutputLength }) : fromZstd(body, maxOutputLength)
    } catch (cause) {
      const problem = cause instanceof Error ? cause.message : String(cause)
      throw new Error(`the record cannot be decompressed to the ${length} bytes that its frame claims: ${problem}`, { cause })
    }
    if (out.length !== length) throw new Error(`the record decompresses to ${out.length} bytes, and its frame claims ${length}`)
    return out
  }

  #tooLarge(length: number): Error {
    return new Error(`the record decompresses to ${length} bytes, and \`maxBytes\` of the codec is ${this.#maxBytes}`)
  }
}

function fromZstd(body: Uint8Array, maxOutputLength: number): Uint8Array {
  const { zstdDecompressSync, constants } = zstd
  if (zstdDecompressSync === undefined)
    throw new Error(`zstd needs Node 22.15, 23.8 or newer, and this is ${process.versions.node}`)
  // Else the frame's header decides how much memory is taken before the first byte is made.
  return zstdDecompressSync(body, { maxOutputLength, params: { [constants.ZSTD_d_windowLogMax!]: ZSTD_WINDOW_LOG } })
}
