import { type SimulationResult, simulate } from './simulation.js'

/** Worlds that are tried for one seed: an hour's search is no help to anybody. */
const MOST_ATTEMPTS = 80

/** The few disturbances of a failing world without which the same promise is kept: whole groups are left out first, then single ones. */
export async function shrink(
  failed: Pick<SimulationResult, 'seed' | 'disturbances' | 'violations'>,
  run: (options: {
    readonly seed: number
    readonly only: ReadonlySet<number>
  }) => Promise<Pick<SimulationResult, 'violations'>> = simulate,
): Promise<readonly number[]> {
  const kind = kindOf(failed)
  let kept = Array.from({ length: failed.disturbances }, (_, i) => i)
  let attempts = 0
  const fails = async (only: readonly number[]): Promise<boolean> => {
    attempts++
    const { violations } = await run({ seed: failed.seed, only: new Set(only) })
    return violations.length > 0 && kindOf({ violations }) === kind
  }
  for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < kept.length && attempts < MOST_ATTEMPTS; ) {
      const without = [...kept.slice(0, at), ...kept.slice(at + size)]
      if (await fails(without)) kept = without
      else at += size
    }
  }
  return kept
}

/** What was violated, without who, which and when. */
export function kindOf({ violations }: Pick<SimulationResult, 'violations'>): string {
  return (violations[0] ?? '')
    .replace(/^[\d.]+: /, '')
    .replace(/shardId-\d+|\b[cjp]\d+(:\w+|-\d+)?|\d+(\/\d+)?/g, '#')
    .replace(/#(, #)+/g, '#')
}
