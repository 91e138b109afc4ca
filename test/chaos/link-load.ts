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
 * Whether a service that is away is left in peace: never much more a second than in its busiest second before, however many clients there are,
 * and on average no more than a few for each of them.
 */
export function isStorm(before: LinkLoad, during: LinkLoad, clients: number): boolean {
  const most = Math.max(2 * before.requests.peak, clients * MOST_IN_A_SECOND)
  const isHigh = [during.requests, during.connects].some(({ peak }) => peak > most)
  return isHigh || [during.requests, during.connects].some(({ mean }) => mean > clients * MOST_ON_AVERAGE)
}

const MOST_IN_A_SECOND = 50
const MOST_ON_AVERAGE = 20
