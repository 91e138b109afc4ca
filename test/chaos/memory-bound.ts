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
/** From the first half of an outage to the second. */
const MOST_GROWTH = 0.2
const LEAST_GROWTH_MIB = 6
/** In a shorter outage records that expire come in few waves, and growth cannot be told from one of them. */
const STEADY_MS = 120_000

/**
 * Of one app while a service is away: what it has in use must not grow, for whatever is put then has to wait or has failed. Requests that hang
 * hold more than those that were refused, and records that expire do it all at once: so the lowest measurements of both halves are compared, each of
 * which has a time without hanging requests.
 */
export function memoryUse(app: string, samples: readonly MemorySample[], from: number, to: number): MemoryUse {
  const all = samples.filter(({ at }) => at >= from && at <= to)
  const most = (of: (sample: MemorySample) => number): number => Math.max(0, ...all.map(of)) / MIB
  const heaps = all.filter(({ collected }) => collected).map(({ heapBytes }) => heapBytes / MIB)
  const [rss, buffered] = [most(({ rssBytes }) => rssBytes), most(({ bufferedBytes }) => bufferedBytes)]
  const half = heaps.length / 2
  const [first, second] = [Math.min(...heaps.slice(0, half)), Math.min(...heaps.slice(half))]
  const isFlat = to - from < STEADY_MS || second - first <= Math.max(MOST_GROWTH * first, buffered, LEAST_GROWTH_MIB)
  return {
    app,
    rssMib: Math.round(rss),
    heapMib: heaps.map((heap) => Math.round(heap * 10) / 10),
    bufferedMib: Math.round(buffered * 10) / 10,
    isBounded: heaps.length >= 2 && isFlat && rss <= MOST_RSS_MIB && heaps.every((heap) => heap <= MOST_HEAP_MIB),
  }
}
