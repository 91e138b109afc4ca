import type { Clock } from '@shardwise/core/clock'
import type { ShardRoom } from '../sources/byte-budget.js'
import type { FetchedBatch, RecordSource } from '../sources/record-source.js'
import { ReadProgress, type ReadSnapshot } from './read-progress.js'
import type { ReadWatch } from './read-watch.js'

export interface ShardReadsOptions {
  readonly source: RecordSource
  /** Also told of what the source announces. */
  readonly reading: ReadWatch
  /** Where the source holds what it reads. */
  readonly room: Pick<ShardRoom, 'free' | 'waiting'>
  readonly clock: Clock
  readonly halt: AbortSignal
}

/** What one read brought, and when, in epoch milliseconds. */
export interface ShardRead extends FetchedBatch {
  readonly readAt: number
}

/** What may lie in memory, uncompleted, before a read ahead begins: with one read on top, no more than about 18 MiB a shard. */
const PREFETCH_BELOW_BYTES = 8 * 1024 * 1024

/** The reads of one shard. While one is handed over the next is fetched, unless much lies in memory. */
export class ShardReads {
  readonly #options: ShardReadsOptions
  readonly #progress = new ReadProgress()
  #ahead: Promise<ShardRead> | undefined

  constructor(options: ShardReadsOptions) {
    this.#options = options
  }

  /** Not after a read with `children`. Rejects when halted. */
  async next(): Promise<ShardRead> {
    const read = await this.#watched(this.#ahead ?? this.#read())
    const readOn = read.children === undefined && this.#progress.bufferedBytes < PREFETCH_BELOW_BYTES
    this.#ahead = readOn ? this.#read() : undefined
    // It may fail, by the halt, while nobody waits for it.
    this.#ahead?.catch(() => {})
    return read
  }

  /** Nothing of this read is needed any more. */
  completed(read: FetchedBatch): void {
    this.#progress.completed(read)
    this.#options.room.free(read.bytes)
  }

  /** Milliseconds for which the source should have said something and did not. Ask from time to time. */
  stalledMs(now: number): number | undefined {
    const { reading, room } = this.#options
    // Other shards' handlers hold the memory that this read waits for.
    if (room.waiting) reading.heard(now)
    return reading.stalledMs(now)
  }

  snapshot(): ReadSnapshot {
    return this.#progress.snapshot()
  }

  /** Resolves when nothing is being read any more: once halted. */
  async finished(): Promise<void> {
    await this.#ahead?.catch(() => {})
  }

  async #watched(read: Promise<ShardRead>): Promise<ShardRead> {
    const { reading, clock } = this.#options
    reading.waits(clock.now())
    try {
      return await read
    } finally {
      reading.rest()
    }
  }

  async #read(): Promise<ShardRead> {
    const { source, halt, clock } = this.#options
    const batch = await source.next(halt)
    const readAt = clock.wallTime()
    this.#progress.read(batch, readAt)
    return { ...batch, readAt }
  }
}
