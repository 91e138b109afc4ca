import { AggregationError } from './aggregation-error.js'
import type { BufferPool } from './buffer-pool.js'

/** A finished aggregate: what goes into `Data` of one Kinesis record. */
export interface SealedAggregate {
  /** The encoded aggregate, a view of a buffer that may be pooled. Reading it after `release` throws. */
  readonly bytes: Uint8Array
  /** User records inside. */
  readonly count: number
  /** Gives the buffer back to its pool. Views taken before must not be used afterwards. A second call does nothing. */
  release(): void
}

export class PooledAggregate implements SealedAggregate {
  readonly count: number
  readonly #pool: BufferPool
  #held: { readonly buffer: Uint8Array; readonly bytes: Uint8Array } | undefined

  constructor(pool: BufferPool, buffer: Uint8Array, byteLength: number, count: number) {
    this.count = count
    this.#pool = pool
    this.#held = { buffer, bytes: buffer.subarray(0, byteLength) }
  }

  get bytes(): Uint8Array {
    if (this.#held === undefined) {
      throw new AggregationError(
        'This aggregate was released and its buffer may hold another one: read `bytes` before `release()`',
      )
    }
    return this.#held.bytes
  }

  release(): void {
    const held = this.#held
    if (held === undefined) return
    this.#held = undefined
    if (this.#pool.owns(held.buffer)) this.#pool.release(held.buffer)
  }
}
