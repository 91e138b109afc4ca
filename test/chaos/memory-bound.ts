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
/** Beyond what is buffered, at any time: the library, the SDK and the app. */
const MOST_HEAP_MIB = 100
/** From the first to the last measurement of an outage. */
const MOST_GROWTH = 0.15
const LEAST_GROWTH_MIB = 6

/** Of one app between two times: what it has in use must not grow, for whatever is put then has to wait or has failed. */
export function memoryUse(app: string, samples: readonly MemorySample[], from: number, to: number): MemoryUse {
  const all = samples.filter(({ at }) => at >= from && at <= to)
  const most = (of: (sample: MemorySample) => number): number => Math.max(0, ...all.map(of)) / MIB
  const heaps = all.filter(({ collected }) => collected).map(({ heapBytes }) => heapBytes / MIB)
  const [rss, buffered] = [most(({ rssBytes }) => rssBytes), most(({ bufferedBytes }) => bufferedBytes)]
  const [first, last] = [heaps[0] ?? Number.NaN, heaps.at(-1) ?? Number.NaN]
  const isFlat = heaps.length >= 2 && last - first <= Math.max(LEAST_GROWTH_MIB, first * MOST_GROWTH)
  return {
    app,
    rssMib: Math.round(rss),
    heapMib: heaps.map((heap) => Math.round(heap * 10) / 10),
    bufferedMib: Math.round(buffered * 10) / 10,
    isBounded: isFlat && rss <= MOST_RSS_MIB && heaps.every((heap) => heap <= MOST_HEAP_MIB + 2 * buffered),
  }
}
