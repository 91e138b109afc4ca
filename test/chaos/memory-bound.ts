import type { MemorySample } from './world.js'

const MIB = 1024 * 1024

export interface MemoryUse {
  readonly app: string
  /** At its highest. */
  readonly rssMib: number
  /** After collections, in order. */
  readonly heapMib: readonly number[]
  readonly bufferedMib: number
  readonly isBounded: boolean
}

const MOST_RSS_MIB = 400
/** The library, the SDK, the app and what is buffered. */
const MOST_HEAP_MIB = 120
/** From the first to the second measurement in one way of being away. */
const MOST_GROWTH = 0.15
/** Or so many times what is buffered: a record that is being sent is there as a request as well. */
const COPIES = 3
const LEAST_GROWTH_MIB = 6

/**
 * Of one app while a service is away: what it has in use must not grow, for whatever is put then has to wait or has failed. It is measured
 * twice in each way of being away, for requests that hang hold more than those that were refused.
 */
export function memoryUse(app: string, samples: readonly MemorySample[], from: number, to: number): MemoryUse {
  const all = samples.filter(({ at }) => at >= from && at <= to)
  const most = (of: (sample: MemorySample) => number): number => Math.max(0, ...all.map(of)) / MIB
  const heaps = all.filter(({ collected }) => collected).map(({ heapBytes }) => heapBytes / MIB)
  const [rss, buffered] = [most(({ rssBytes }) => rssBytes), most(({ bufferedBytes }) => bufferedBytes)]
  const mayGrow = (heap: number): number => Math.max(MOST_GROWTH * heap, COPIES * buffered, LEAST_GROWTH_MIB)
  const isFlat = heaps.every((heap, i) => i % 2 === 0 || heap - heaps[i - 1]! <= mayGrow(heaps[i - 1]!))
  return {
    app,
    rssMib: Math.round(rss),
    heapMib: heaps.map((heap) => Math.round(heap * 10) / 10),
    bufferedMib: Math.round(buffered * 10) / 10,
    isBounded: heaps.length >= 2 && isFlat && rss <= MOST_RSS_MIB && heaps.every((heap) => heap <= MOST_HEAP_MIB),
  }
}
