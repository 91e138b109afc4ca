import type { KeyObject } from 'node:crypto'
import type { DataKeys, EncryptionContext, KeyRefusal } from './data-keys.js'
import { takenOver } from './encoding-key.js'
import { inTime, type KeyLimits } from './key-limits.js'

export interface DecodingKeysOptions {
  readonly keys: DataKeys
  readonly context: EncryptionContext
  readonly limits: KeyLimits
}

/** A key, or that it can never be had. */
export type FoundKey = KeyObject | KeyRefusal

interface Entry {
  readonly found: FoundKey
  readonly since: number
}

/** The data keys that records were written with. A refusal is remembered like a key: records of one refused key must not each ask. */
export class DecodingKeys {
  readonly #options: DecodingKeysOptions
  /** By the wrapped key, the least recently used first. */
  readonly #entries = new Map<string, Entry>()
  readonly #fetching = new Map<string, Promise<FoundKey>>()

  constructor(options: DecodingKeysOptions) {
    this.#options = options
  }

  /** If it is here. */
  get(wrapped: Uint8Array): FoundKey | undefined {
    return this.#known(nameOf(wrapped))
  }

  /** Rejects when it cannot be had for now. */
  find(wrapped: Uint8Array): FoundKey | Promise<FoundKey> {
    const name = nameOf(wrapped)
    const known = this.#known(name)
    if (known !== undefined) return known
    let fetching = this.#fetching.get(name)
    if (fetching === undefined) {
      fetching = this.#fetch(name, wrapped.slice()).finally(() => this.#fetching.delete(name))
      this.#fetching.set(name, fetching)
    }
    return fetching
  }

  #known(name: string): FoundKey | undefined {
    const { clock, maxAgeMs } = this.#options.limits
    const entry = this.#entries.get(name)
    if (entry === undefined) return undefined
    this.#entries.delete(name)
    if (clock.now() - entry.since >= maxAgeMs) return undefined
    this.#entries.set(name, entry)
    return entry.found
  }

  async #fetch(name: string, wrapped: Uint8Array): Promise<FoundKey> {
    const { keys, context, limits } = this.#options
    const since = limits.clock.now()
    const answer = await inTime(keys.decrypt(wrapped, context), limits)
    const found = answer instanceof Uint8Array ? takenOver(answer) : answer
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size < limits.maxCached) break
      this.#entries.delete(oldest)
    }
    this.#entries.set(name, { found, since })
    return found
  }
}

function nameOf({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('latin1')
}
