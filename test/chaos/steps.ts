import type { Random } from '@shardwise/core/random'

/** What happens to a run. */
export const KINDS = [
  'worker-killed',
  'worker-paused-short',
  'worker-paused-long',
  'worker-replaced',
  'rolling-deploy',
  'producer-killed',
  'producer-paused',
  'producer-replaced',
  'split',
  'merge',
  'surge',
  'service-restarted',
  'table-unreachable',
  'slow',
  'narrow',
  'reset',
  'half-open',
  'truncated',
  'refusing',
  'closed',
  'swallowing',
  'silent',
] as const

export type Kind = (typeof KINDS)[number]

/** How many of each are in the bag: what is in the network comes more often than deaths, a deploy takes its time. */
const IN_THE_BAG: { readonly [kind in Kind]?: number } = {
  'worker-killed': 2,
  reset: 2,
  'half-open': 2,
  truncated: 2,
  split: 2,
  merge: 2,
}

export interface Step {
  readonly atMs: number
  readonly kind: Kind
  /** Which worker, producer, link or shard it concerns, as a share of those there are. */
  readonly whom: number
  /** How long or how much, as a share of what is possible. */
  readonly much: number
}

export interface StepOptions {
  readonly durationMs: number
  /** Between two of them, on average. */
  readonly everyMs: number
}

/**
 * All that happens, drawn before it begins: the same seed gives the same list, whatever comes of it. Kinds come out of a bag that is filled again when
 * it is empty, so that none is left out for long.
 */
export function stepsOf(random: Random, { durationMs, everyMs }: StepOptions): Step[] {
  const steps: Step[] = []
  let bag: Kind[] = []
  for (let atMs = everyMs; atMs < durationMs; atMs += everyMs * (0.4 + 1.2 * random())) {
    if (bag.length === 0) bag = KINDS.flatMap((kind) => Array.from({ length: IN_THE_BAG[kind] ?? 1 }, () => kind))
    const [kind] = bag.splice(Math.floor(random() * bag.length), 1)
    steps.push({ atMs, kind: kind!, whom: random(), much: random() })
  }
  return steps
}
