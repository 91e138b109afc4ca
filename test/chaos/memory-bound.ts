import type { MemorySample } from './world.js'

const MIB = 1024 * 1024

export interface MemoryUse {
  readonly app: string
  readonly rssMib: number
  readonly heapMib: number
  /** By how much the heap is larger in the last quarter of the outage than in the second. */
  readonly growthMib: number
  readonly isBounded: boolean
}

/** What an app may hold besides what it buffers, at its highest. */
const MOST_HEAP_MIB = 160
const MOST_RSS_MIB = 400
/** Between the quarters. */
const MOST_GROWTH = 0.15
const LEAST_GROWTH_MIB = 12

/**
 * Of one app while a service is away. The lowest of some seconds is about what is left after a collection: by that it is seen whether it grows.
 */
export function memoryUse(app: string, samples: readonly MemorySample[], from: number, to: number): MemoryUse {
  const between = (start: number, end: number): readonly MemorySample[] =>
    samples.filter(({ at }) => at >= from + (to - from) * start && at <= from + (to - from) * end)
  const lowest = (of: readonly MemorySample[]): number => Math.min(...of.map(({ heapBytes }) => heapBytes))
  const all = between(0, 1)
  const [early, late] = [lowest(between(0.25, 0.5)), lowest(between(0.75, 1))]
  const growth = Number.isFinite(early) && Number.isFinite(late) ? late - early : 0
  const most = (of: (sample: MemorySample) => number): number => Math.max(0, ...all.map(of))
  const [rss, heap] = [most(({ rssBytes }) => rssBytes), most(({ heapBytes }) => heapBytes)]
  const mayGrow = Math.max(LEAST_GROWTH_MIB * MIB, early * MOST_GROWTH)
  return {
    app,
    rssMib: Math.round(rss / MIB),
    heapMib: Math.round(heap / MIB),
    growthMib: Math.round((growth * 10) / MIB) / 10,
    isBounded: all.length > 0 && growth <= mayGrow && heap <= MOST_HEAP_MIB * MIB && rss <= MOST_RSS_MIB * MIB,
  }
}
