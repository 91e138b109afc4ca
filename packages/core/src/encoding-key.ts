import { createSecretKey, type KeyObject } from 'node:crypto'
import { type DataKeys, type EncryptionContext, KEY_BYTES, MAX_WRAPPED_BYTES } from './data-keys.js'
import { inTime, type KeyLimits } from './key-limits.js'

export interface EncodingKeyOptions {
  readonly keys: DataKeys
  readonly context: EncryptionContext
  readonly limits: KeyLimits
  /** A key could not be had. */
  readonly failed: (error: unknown) => void
}

interface Current {
  readonly key: KeyObject
  readonly wrapped: Uint8Array
  readonly since: number
  records: number
  bytes: number
}

/** Between failures: the puts that wait must not each ask a key service that says no. */
const RETRY_AFTER_MS = 1000

/** The data key that records are written with. It has no timer: whoever is about to use it has the next one fetched in time. */
export class EncodingKey {
  readonly #options: EncodingKeyOptions
  #current: Current | undefined
  #fetching: Promise<void> | undefined
  #failure: { readonly error: unknown; readonly at: number } | undefined

  constructor(options: EncodingKeyOptions) {
    this.#options = options
  }

  /** Undefined: there is one. Else resolves when there is, and rejects when it cannot be had for now. */
  ready(): Promise<void> | undefined {
    const now = this.#options.limits.clock.now()
    const current = this.#usable(now)
    const pausing = this.#failure !== undefined && now - this.#failure.at < RETRY_AFTER_MS
    if (current !== undefined) {
      if (!pausing && this.#isDue(current, now)) this.#fetch().catch(() => {})
      return undefined
    }
    return pausing ? Promise.reject(this.#failure!.error) : this.#fetch()
  }

  /** For a record of so many bytes. Throws where `ready` has not said that there is one. */
  use(bytes: number): Pick<Current, 'key' | 'wrapped'> {
    const current = this.#usable(this.#options.limits.clock.now())
    if (current === undefined) throw new Error('there is no data key: await readyToEncode() of the codec first')
    current.records++
    current.bytes += bytes
    return current
  }

  #usable(now: number): Current | undefined {
    const { maxAgeMs, maxRecords, maxBytes } = this.#options.limits
    const current = this.#current
    if (current === undefined) return undefined
    const isUsed = now - current.since >= maxAgeMs || current.records >= maxRecords || current.bytes >= maxBytes
    return isUsed ? undefined : current
  }

  #isDue({ since, records, bytes }: Current, now: number): boolean {
    const { maxAgeMs, maxRecords, maxBytes } = this.#options.limits
    return now - since >= maxAgeMs / 2 || records >= maxRecords / 2 || bytes >= maxBytes / 2
  }

  /** One at a time. */
  #fetch(): Promise<void> {
    this.#fetching ??= this.#fetched().finally(() => {
      this.#fetching = undefined
    })
    return this.#fetching
  }

  async #fetched(): Promise<void> {
    const { keys, context, limits, failed } = this.#options
    // Asked then, not when it came: that is when the key service said yes.
    const since = limits.clock.now()
    try {
      const { key, wrapped } = await inTime(keys.generate(context), limits)
      if (wrapped.length === 0 || wrapped.length > MAX_WRAPPED_BYTES) {
        throw new Error(`a wrapped data key has 1 to ${MAX_WRAPPED_BYTES} bytes, and this one ${wrapped.length}`)
      }
      this.#current = { key: takenOver(key), wrapped: wrapped.slice(), since, records: 0, bytes: 0 }
      this.#failure = undefined
    } catch (cause) {
      const problem = cause instanceof Error ? cause.message : String(cause)
      const error = new Error(`no data key can be had: ${problem}`, { cause })
      this.#failure = { error, at: limits.clock.now() }
      failed(error)
      throw error
    }
  }
}

/** A copy that does not show itself; the bytes are overwritten. */
export function takenOver(key: Uint8Array): KeyObject {
  if (key.length !== KEY_BYTES) throw new Error(`a data key for AES-256 has ${KEY_BYTES} bytes, and this one ${key.length}`)
  const object = createSecretKey(key)
  key.fill(0)
  return object
}
