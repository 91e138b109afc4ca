import type { Random } from '@shardwise/core/random'
import { pick, randomOf } from './fleet-settings.js'
import type { Service, Weather } from './network.js'

/** `who`: 0 to 1, of those that are there at that moment. */
export type Disturbance = { readonly at: number } & (
  | { readonly kind: 'weather'; readonly service: Service; readonly weather: Weather; readonly forMs: number }
  | {
      readonly kind: 'cut'
      readonly whom: Whom
      readonly service: Service | 'all'
      readonly forMs: number
      readonly clockMs: number
    }
  | { readonly kind: 'pause'; readonly whom: Whom; readonly suspended: boolean; readonly forMs: number }
  /** Forward or back. */
  | { readonly kind: 'wall-clock'; readonly whom: Whom; readonly byMs: number }
  | { readonly kind: 'kill'; readonly whom: Whom; readonly againAfterMs: number | undefined }
  | {
      readonly kind: 'stop'
      readonly who: number
      readonly timeoutMs: number | undefined
      readonly againAfterMs: number | undefined
    }
  | { readonly kind: 'start' }
  | { readonly kind: 'split'; readonly which: number; readonly where: number }
  | { readonly kind: 'merge'; readonly which: number }
  | {
      readonly kind: 'handlers'
      readonly who: number | 'all'
      readonly slow: number
      readonly failing: number
      readonly blocking: number
      readonly longestMs: number
      readonly forMs: number
    }
  /** An application pauses all its shards, and goes on. */
  | { readonly kind: 'hold'; readonly who: number; readonly forMs: number }
  | { readonly kind: 'stale-listings'; readonly chance: number; readonly forMs: number }
  | { readonly kind: 'expired-iterators'; readonly chance: number; readonly forMs: number }
  /** Of the entries of a PutRecords, one by one. */
  | { readonly kind: 'refused-entries'; readonly chance: number; readonly forMs: number }
  /** All that has been written so far leaves the stream. */
  | { readonly kind: 'retention' }
  /** The service places records itself from now on. */
  | { readonly kind: 'auto'; readonly which: number }
  /** Keys for reading and writing cannot be fetched. */
  | { readonly kind: 'keys-away'; readonly forMs: number }
  /** From one worker, or from all; then it is added again. */
  | { readonly kind: 'remove-stream'; readonly which: number; readonly whom: 'one' | 'all'; readonly againAfterMs: number }
  /** A stream is deleted, and created anew under its name. */
  | { readonly kind: 'recreate'; readonly which: number; readonly shards: number; readonly goneForMs: number }
  /** Each worker is stopped in its turn, and a new one started. */
  | { readonly kind: 'rolling-deploy'; readonly everyMs: number; readonly timeoutMs: number | undefined }
)

/** One consumer, one producer, or all consumers. */
export type Whom = { readonly is: 'consumer' | 'producer'; readonly who: number } | { readonly is: 'all-consumers' }

export interface Plan {
  readonly disturbances: readonly Disturbance[]
  /** Virtual time from which nothing is disturbed any more. */
  readonly calmAt: number
}

const BEGINS_AT = 3_000
/** Worlds in which nothing, or little, happens. */
const CALM_SHARE = 0.05

/** What goes wrong in the world of this seed, and when. `spared`: kinds that do not happen to it. */
export function planOf(seed: number, failoverTimeMs: number, spared: ReadonlySet<string> = new Set()): Plan {
  const random = randomOf(seed, 'plan')
  const lastsMs = failoverTimeMs * (4 + random() * 8) + 5_000
  const count = random() < CALM_SHARE ? 0 : 3 + Math.floor(random() * random() * 22)
  const possible = WEIGHTED.filter((kind) => !spared.has(kind))
  const kinds = possible.filter(() => random() < 0.6)
  const disturbances = Array.from({ length: count }, () => {
    const kind = pick(random, kinds.length === 0 ? possible : kinds)
    return { at: Math.round(BEGINS_AT + random() * lastsMs), ...disturbance(random, kind, failoverTimeMs) } as Disturbance
  })
  // Once: it cannot be resharded afterwards.
  if (random() < 0.1) disturbances.push({ at: Math.round(BEGINS_AT + random() * lastsMs), kind: 'auto', which: random() })
  if (random() < 0.12) {
    const goneForMs = Math.round(1_500 + random() * 8_000)
    const again = { kind: 'recreate', which: random(), shards: 1 + Math.floor(random() * 3), goneForMs } as const
    disturbances.push({ at: Math.round(BEGINS_AT + random() * lastsMs), ...again })
  }
  disturbances.sort((a, b) => a.at - b.at)
  const happening = disturbances.filter(({ kind }) => !spared.has(kind))
  const ends = happening.map(
    (each) =>
      each.at +
      ('forMs' in each
        ? each.forMs
        : 'againAfterMs' in each
          ? (each.againAfterMs ?? 0)
          : 'goneForMs' in each
            ? each.goneForMs + 12_000
            : 0),
  )
  return { disturbances: happening, calmAt: Math.max(BEGINS_AT + lastsMs, ...ends) }
}

const WEIGHTED: readonly Disturbance['kind'][] = [
  ...([
    'weather',
    'weather',
    'cut',
    'cut',
    'pause',
    'pause',
    'kill',
    'stop',
    'start',
    'split',
    'split',
    'merge',
    'merge',
  ] as const),
  ...([
    'handlers',
    'handlers',
    'handlers',
    'hold',
    'stale-listings',
    'expired-iterators',
    'refused-entries',
    'refused-entries',
    'retention',
    'wall-clock',
    'keys-away',
    'remove-stream',
    'remove-stream',
    'rolling-deploy',
  ] as const),
]

function disturbance(random: Random, kind: Disturbance['kind'], failoverTimeMs: number): object {
  const forMs = Math.round(failoverTimeMs * (random() < 0.4 ? random() * 0.8 : random() * 4))
  switch (kind) {
    case 'weather': {
      const strong = pick(random, [0.05, 0.15, 0.4])
      const some = (): number => (random() < 0.5 ? 0 : random() * strong)
      const weather = { lost: some(), unanswered: some(), late: some(), twice: some(), throttled: some(), failing: some() }
      return {
        kind,
        service: pick(random, ['kinesis', 'kinesis', 'dynamodb', 'dynamodb', 'sink'] as const),
        weather,
        forMs: forMs * 2,
      }
    }
    case 'cut':
      return {
        ...{ kind, whom: whom(random), service: pick(random, ['kinesis', 'dynamodb', 'dynamodb', 'all'] as const), forMs },
        clockMs: random() < 0.25 ? Math.round((random() - 0.7) * 7_200_000) : 0,
      }
    case 'pause': {
      const suspended = random() < 0.3
      return { kind, whom: whom(random), suspended, forMs }
    }
    case 'wall-clock':
      return { kind, whom: whom(random), byMs: Math.round((random() - 0.5) * pick(random, [10_000, 7_200_000])) }
    case 'kill':
      return { kind, whom: whom(random), againAfterMs: random() < 0.7 ? Math.round(random() * failoverTimeMs * 2) : undefined }
    case 'stop': {
      const timeoutMs = random() < 0.3 ? Math.round(random() * 3_000) : undefined
      return { kind, who: random(), timeoutMs, againAfterMs: random() < 0.7 ? Math.round(random() * failoverTimeMs) : undefined }
    }
    case 'split':
      return { kind, which: random(), where: 0.05 + random() * 0.9 }
    case 'merge':
      return { kind, which: random() }
    case 'handlers': {
      const rate = (share: number): number => (random() < share ? random() * 0.3 : 0)
      // Longer than anybody waits for a lease (`handoffTimeoutMs`), or not.
      const isLong = random() < 0.4
      const slow = isLong ? 0.2 + random() * 0.6 : rate(0.6)
      const who = random() < 0.3 ? 'all' : random()
      return { kind, who, slow, failing: rate(0.5), blocking: rate(0.2), longestMs: isLong ? 12_000 : 4_000, forMs }
    }
    case 'hold':
      return { kind, who: random(), forMs }
    case 'stale-listings':
    case 'expired-iterators':
    case 'refused-entries':
      return { kind, chance: random() * 0.7, forMs: forMs * 2 }
    case 'keys-away':
      return { kind, forMs }
    case 'remove-stream':
      return {
        kind,
        which: random(),
        whom: pick(random, ['one', 'all'] as const),
        againAfterMs: Math.round(1_000 + random() * failoverTimeMs * 4),
      }
    case 'rolling-deploy':
      return {
        kind,
        everyMs: Math.round(200 + random() * failoverTimeMs * 2),
        timeoutMs: random() < 0.3 ? Math.round(random() * 3_000) : undefined,
      }
    default:
      return { kind }
  }
}

function whom(random: Random): Whom {
  const chance = random()
  if (chance < 0.2) return { is: 'all-consumers' }
  return { is: chance < 0.85 ? 'consumer' : 'producer', who: random() }
}
