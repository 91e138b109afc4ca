import { effectiveHashKey, type HashKeyRange, inRange } from '@shardwise/core/hash-key'
import { recordKey } from './record-key.js'
import type { UserRecord } from './user-record.js'

/** What takes no records until the caller resumes, and the failure that halted each part: hash key ranges, so that a halt outlives a
 * reshard, and single keys. The first failure stays the one that is named. */
export class Halts {
  #ranges: { readonly range: HashKeyRange; readonly cause: Error }[] = []
  readonly #keys = new Map<string, Error>()

  get any(): boolean {
    return this.#ranges.length > 0 || this.#keys.size > 0
  }

  /** Single keys that are halted. */
  get keys(): number {
    return this.#keys.size
  }

  /** False if all of the range was halted already. */
  haltRange(range: HashKeyRange, cause: Error): boolean {
    if (this.#ranges.some((halt) => range.start >= halt.range.start && range.end <= halt.range.end)) return false
    this.#ranges.push({ range, cause })
    return true
  }

  haltKeyOf(record: UserRecord, cause: Error): void {
    this.#keys.set(recordKey(record), cause)
  }

  causeFor(record: UserRecord): Error | undefined {
    if (this.#keys.size > 0) {
      const cause = this.#keys.get(recordKey(record))
      if (cause !== undefined) return cause
    }
    if (this.#ranges.length === 0) return undefined
    const hashKey = effectiveHashKey(record.partitionKey, record.explicitHashKey)
    return this.#ranges.find((halt) => inRange(hashKey, halt.range))?.cause
  }

  resume(): void {
    this.#ranges = []
    this.#keys.clear()
  }
}
