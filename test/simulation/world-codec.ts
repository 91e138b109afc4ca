import { sleep } from '@shardwise/core/clock'
import { type Codec, compressed, text } from '@shardwise/core/codec'
import type { SimulatedProcess } from './simulated-process.js'

/** What producers and consumers of a world write and read by. `keyed`: with a key that is fetched, for which records wait. */
export type CodecKind = 'bytes' | 'text' | 'compressed' | 'keyed'

/** Whether keys can be fetched now. */
export interface KeyService {
  isAway: boolean
}

const KEY_AGE_MS = 4_000
const MARK = 0xa7

/** Undefined: bytes as they are. */
export function codecOf(kind: CodecKind, process: SimulatedProcess, keys: KeyService): Codec<string> | undefined {
  switch (kind) {
    case 'bytes':
      return undefined
    case 'text':
      return text()
    case 'compressed':
      return compressed(text())
    case 'keyed':
      return new KeyedCodec(process, keys)
  }
}

/** Outside of the product: what was put. */
export function decoderOf(kind: CodecKind): (bytes: Uint8Array) => string {
  const codec = kind === 'compressed' ? compressed(text()) : text()
  const context = { stream: '', partitionKey: '', headers: undefined }
  return kind === 'keyed' ? unmarked : (bytes) => codec.decode(bytes, context)
}

/** Stands for encryption: the same course, without the cost. */
class KeyedCodec implements Codec<string> {
  readonly #process: SimulatedProcess
  readonly #keys: KeyService
  #fetchedAt = Number.NEGATIVE_INFINITY
  #fetching: Promise<void> | undefined

  constructor(process: SimulatedProcess, keys: KeyService) {
    this.#process = process
    this.#keys = keys
  }

  encode(value: string): Uint8Array {
    if (!this.#hasKey) throw new Error('encode was called without a key')
    return Buffer.concat([Buffer.of(MARK), Buffer.from(value)])
  }

  decode(): string {
    throw new Error('decode was called where prepareDecode was to be')
  }

  readyToEncode(): Promise<void> | undefined {
    return this.#hasKey ? undefined : this.#fetched()
  }

  prepareDecode(): ((bytes: Uint8Array) => string) | Promise<(bytes: Uint8Array) => string> {
    return this.#hasKey ? unmarked : this.#fetched().then(() => unmarked)
  }

  /** A key that has just become too old still serves what asked for it before. */
  get #hasKey(): boolean {
    return this.#process.clock.now() - this.#fetchedAt < KEY_AGE_MS
  }

  #fetched(): Promise<void> {
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = undefined
    })
    return this.#fetching
  }

  async #fetch(): Promise<void> {
    await sleep(this.#process.clock, 3 + this.#process.random() * 30)
    if (this.#keys.isAway) throw new Error('The key service is away, by the weather')
    this.#fetchedAt = this.#process.clock.now()
  }
}

function unmarked(bytes: Uint8Array): string {
  if (bytes[0] !== MARK) throw new Error('This was not written with a key')
  return Buffer.from(bytes.buffer, bytes.byteOffset + 1, bytes.byteLength - 1).toString()
}
