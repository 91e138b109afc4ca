import type { MemorySample } from './world.js'

const MIB = 1024 * 1024

export interface MemoryUse {
  readonly app: string
  /** At its highest. */
  readonly rssMib: number
  /** After a collection before the outage. Undefined: not measured. */
  readonly heapBeforeMib: number | undefined
  /** After collections while the service is away, in order. */
  readonly heapMib: readonly number[]
  readonly bufferedMib: number
  readonly isBounded: boolean
}

/** Derived from nothing: what Node takes from the system and keeps is its own affair. A roof over it all. */
const MOST_RSS_MIB = 400
/**
 * By how many times `maxBufferedBytes`: what was put, once; packed, once more (ProducerOptions: "up to about twice as much"); in requests that hang,
 * a third more than that; and what is around records that are small.
 */
const MAY_GROW_BY = 4

/**
 * Of one app while a service is away: beyond what it had in use before, it may not hold more than copies of a full buffer, at any measurement, however
 * long it lasts.
 */
export function memoryUse(
  app: string,
  samples: readonly MemorySample[],
  { from, to, maxBufferedBytes }: { readonly from: number; readonly to: number; readonly maxBufferedBytes: number },
): MemoryUse {
  const during = samples.filter(({ at }) => at >= from && at <= to)
  const most = (of: (sample: MemorySample) => number): number => Math.max(0, ...during.map(of)) / MIB
  const [rss, buffered] = [most(({ rssBytes }) => rssBytes), most(({ bufferedBytes }) => bufferedBytes)]
  const heaps = during.filter(({ collected }) => collected).map(({ heapBytes }) => heapBytes / MIB)
  const before = samples.findLast(({ at, collected }) => at < from && collected)?.heapBytes
  const roof = before === undefined ? 0 : (before + MAY_GROW_BY * maxBufferedBytes) / MIB
  return {
    app,
    rssMib: Math.round(rss),
    heapBeforeMib: before === undefined ? undefined : tenths(before / MIB),
    heapMib: heaps.map(tenths),
    bufferedMib: tenths(buffered),
    isBounded: heaps.length >= 2 && rss <= MOST_RSS_MIB && heaps.every((heap) => heap <= roof),
  }
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10
}
