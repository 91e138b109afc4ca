import type { LinkSecond } from './fault-link.js'

/** A second, over all links. */
export interface Load {
  readonly mean: number
  readonly peak: number
}

export interface LinkLoad {
  readonly requests: Load
  readonly connects: Load
}

/** What went over links in the whole seconds between two machine times. */
export function loadOf(
  links: readonly { readonly seconds: ReadonlyMap<number, LinkSecond> }[],
  from: number,
  to: number,
): LinkLoad {
  const [first, last] = [Math.ceil(from / 1000), Math.floor(to / 1000)]
  const of = (what: keyof LinkSecond): Load => {
    const sums: number[] = []
    for (let second = first; second < last; second++) {
      sums.push(links.reduce((sum, { seconds }) => sum + (seconds.get(second)?.[what] ?? 0), 0))
    }
    const total = sums.reduce((sum, count) => sum + count, 0)
    return { mean: Math.round((10 * total) / Math.max(sums.length, 1)) / 10, peak: Math.max(0, ...sums) }
  }
  return { requests: of('requests'), connects: of('connects') }
}

/**
 * Whether a service that is away is not left in peace: it is asked more often than while it was well and busy (or than so many clients may ask by their
 * pauses, where that was less). A refused connection is an attempt like a request. In the busiest second two may fall together.
 */
export function isStorm(before: LinkLoad, during: LinkLoad, clients: number): boolean {
  const mean = Math.max(before.requests.mean, MOST_OF_ONE * clients)
  const peak = MOST_AT_ONCE * Math.max(before.requests.peak, mean)
  return [during.requests, during.connects].some((load) => load.mean > mean || load.peak > peak)
}

const MOST_AT_ONCE = 2
/**
 * Of a worker with two leases and a failover time of four seconds, in the mean of eight: each lease four times a second while it is trusted (2.3 s), then once,
 * and once a second the table and a look for other kinds of workers (write-schedule.ts, table-scan.ts).
 */
const MOST_OF_ONE = 6
