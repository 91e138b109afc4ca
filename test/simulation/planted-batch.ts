import type { PlantedBug } from './planted-bug.js'
import { PLANTED_BUGS } from './planted-bugs.js'
import { type Hunt, huntBug } from './planted-run.js'

/** Worlds in which a bug must be caught. */
const SEEDS = 200
const EXIT_INTERRUPTED = 130

export interface PlantedBatchOptions {
  /** Of the names. Undefined: all bugs. */
  readonly part: string | undefined
  readonly jobs: number
  readonly json: boolean
}

/** `--planted-bugs`: each bug by itself, several side by side, and a table at the end. The exit code is 1 when one was not caught. */
export async function runPlantedBugs({ part, jobs, json }: PlantedBatchOptions): Promise<number> {
  const bugs = PLANTED_BUGS.filter(({ name }) => part === undefined || name.includes(part))
  const interruption = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interruption.abort())
  const began = performance.now()
  const hunts = new Map<PlantedBug, Hunt>()
  const waiting = [...bugs]
  const work = async (): Promise<void> => {
    for (let bug = waiting.shift(); bug !== undefined && !interruption.signal.aborted; bug = waiting.shift()) {
      const hunt = await huntBug(bug, SEEDS, interruption.signal)
      if (interruption.signal.aborted) return
      hunts.set(bug, hunt)
      const word = hunt.isCaught ? `caught by seed ${hunt.seeds}` : hunt.violation ? 'TAKEN FOR SOMETHING ELSE' : 'ESCAPED'
      process.stderr.write(`${hunts.size} of ${bugs.length}: ${bug.name}: ${word}, ${hunt.seconds} s\n`)
    }
  }
  await Promise.all(Array.from({ length: Math.min(jobs, bugs.length) }, work))
  const seconds = Math.round((performance.now() - began) / 1_000)
  const caught = [...hunts.values()].filter(({ isCaught }) => isCaught).length
  const rows = bugs.flatMap((bug) => hunts.get(bug) ?? [])
  if (json) {
    const results = rows.map(({ bug, isCaught, seeds, seconds: took, violation }) => ({
      ...{ name: bug.name, caught: isCaught, seeds, seconds: took, violation },
    }))
    process.stdout.write(`${JSON.stringify({ passed: caught === bugs.length, bugs: bugs.length, caught, seconds, results })}\n`)
  } else process.stdout.write(`${table(rows)}\n${caught} of ${bugs.length} planted bugs caught, ${seconds} s\n`)
  if (interruption.signal.aborted) return EXIT_INTERRUPTED
  return bugs.length > 0 && caught === bugs.length ? 0 : 1
}

/** Seeds are tried from 1 on: the one that caught it is the number of worlds that it took. */
function table(hunts: readonly Hunt[]): string {
  const lines = hunts.map(({ bug, isCaught, seeds, seconds, violation }) => {
    const said = (violation ?? 'nothing').replace(/^([\d.]+): /, 'at $1: ').split('\n')[0]!
    return `| ${bug.name} | ${isCaught ? seeds : `not in ${seeds}`} | ${seconds} | ${said.slice(0, 110)} |`
  })
  return ['| planted bug | seed that caught it | seconds | what was said |', '|---|---|---|---|', ...lines].join('\n')
}
