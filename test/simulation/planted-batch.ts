import type { PlantedBug } from './planted-bug.js'
import { PLANTED_BUGS } from './planted-bugs.js'
import { firstBroken, type Hunt, huntBug } from './planted-run.js'

/** Worlds in which a bug must be caught. */
const SEEDS = 200
const EXIT_INTERRUPTED = 130

export interface PlantedBatchOptions {
  /** Of the names. Undefined: all bugs. */
  readonly part: string | undefined
  readonly jobs: number
  readonly json: boolean
}

/**
 * `--planted-bugs`: each bug by itself, several side by side, and a list at the end. The exit code is 1 when one was not caught, or a world that
 * has caught one breaks a promise without it, too.
 */
export async function runPlantedBugs({ part, jobs, json }: PlantedBatchOptions): Promise<number> {
  const bugs = PLANTED_BUGS.filter(({ name }) => part === undefined || name.includes(part))
  const interruption = new AbortController()
  const { signal } = interruption
  for (const each of ['SIGINT', 'SIGTERM'] as const) process.once(each, () => interruption.abort())
  const began = performance.now()
  const hunts = new Map<PlantedBug, Hunt>()
  const waiting = [...bugs]
  const work = async (): Promise<void> => {
    for (let bug = waiting.shift(); bug !== undefined && !signal.aborted; bug = waiting.shift()) {
      const hunt = await huntBug(bug, SEEDS, signal)
      if (signal.aborted) return
      hunts.set(bug, hunt)
      const { violation = 'nothing', seconds } = hunt
      process.stderr.write(`${hunts.size} of ${bugs.length}: ${bug.name}: ${outcomeOf(hunt)}, ${seconds} s: ${violation}\n`)
    }
  }
  await Promise.all(Array.from({ length: Math.min(jobs, bugs.length) }, work))
  const rows = bugs.flatMap((bug) => hunts.get(bug) ?? [])
  const caught = rows.filter(({ isCaught }) => isCaught)
  const cleanSeeds = new Set(caught.map(({ seeds }) => seeds))
  const unplanted = await firstBroken(cleanSeeds, [], signal)
  const passed = bugs.length > 0 && caught.length === bugs.length && unplanted === undefined && !signal.aborted
  const seconds = Math.round((performance.now() - began) / 1_000)
  if (json) {
    const results = rows.map(({ bug, isCaught, seeds, invariant, seconds: took, violation }) => ({
      ...{ name: bug.name, caught: isCaught, seeds, invariant, seconds: took, violation },
    }))
    process.stdout.write(
      `${JSON.stringify({ passed, bugs: bugs.length, caught: caught.length, seconds, withoutBug: unplanted, results })}\n`,
    )
  } else {
    const without = unplanted ? `WITHOUT A BUG, seed ${unplanted.seed}: ${unplanted.violation}` : 'without it they pass'
    const worlds = `the worlds that caught them (${cleanSeeds.size}): ${signal.aborted ? 'not run without it' : without}`
    process.stdout.write(`${list(rows)}\n${caught.length} of ${bugs.length} planted bugs caught, ${seconds} s; ${worlds}\n`)
  }
  return signal.aborted ? EXIT_INTERRUPTED : passed ? 0 : 1
}

function outcomeOf({ isCaught, seeds, violation }: Hunt): string {
  return isCaught ? `caught by seed ${seeds}` : violation ? `TAKEN FOR SOMETHING ELSE by seed ${seeds}` : 'ESCAPED'
}

/** Seeds are tried from 1 on: the one that caught it is the number of worlds that it took. */
function list(hunts: readonly Hunt[]): string {
  return hunts
    .map((hunt) => `- ${hunt.bug.name}: ${outcomeOf(hunt)}, ${hunt.invariant ?? hunt.violation ?? 'nothing'}, ${hunt.seconds} s`)
    .join('\n')
}
