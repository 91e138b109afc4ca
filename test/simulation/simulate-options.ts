import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'

export interface SimulateOptions {
  readonly firstSeed: number
  readonly seeds: number
  /** Worker processes. */
  readonly jobs: number
  readonly json: boolean
  /** One world alone, with all that happens in it. */
  readonly trace: boolean
  /** The disturbances that happen, by their numbers in the plan of the seed. Undefined: all. */
  readonly only: readonly number[] | undefined
  /** Bugs are planted, and must be caught: those with this in their name, all for ''. Undefined: no bug is. */
  readonly plantedBugs: string | undefined
}

/** The command line is not usable. The message names the argument, the rule and what was given. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export const USAGE: string = `npm run simulate -- [--seeds N] [--first-seed F] [--jobs J] [--json]
npm run simulate -- --seed S [--only 1,4] [--trace] [--json]
npm run simulate -- --planted-bugs [--bug TEXT] [--jobs J] [--json]

  --seeds N       how many worlds, from 1 to 10000000 (default 500)
  --first-seed F  the seed of the first; the others follow it (default 1)
  --jobs J        processes side by side, from 1 to 256 (default: as many as there are processors)
  --seed S        this world alone
  --only 1,4      and of its disturbances only these
  --trace         and a line for whatever happens in it
  --planted-bugs  plants one bug after the other in the product: 200 worlds must be enough to catch each
  --bug TEXT      and of these only those with this in their name
  --json          print the result as one JSON object on the last line
`

const MOST = 2 ** 31

export function parseSimulateOptions(args: readonly string[]): SimulateOptions | 'help' {
  const values = parsed(args)
  if (values.help === true) return 'help'
  const { seed, seeds, only, trace = false, json = false, bug } = values
  const isOne = seed !== undefined
  const plants = values['planted-bugs'] === true
  if (plants && (isOne || seeds !== undefined || values['first-seed'] !== undefined))
    throw new UsageError('--planted-bugs goes without --seed, --seeds and --first-seed')
  if (!plants && bug !== undefined) throw new UsageError('--bug needs --planted-bugs')
  if (isOne && (seeds !== undefined || values['first-seed'] !== undefined))
    throw new UsageError('--seed goes without --seeds and --first-seed')
  if (!isOne && (trace || only !== undefined)) throw new UsageError('--trace and --only need --seed')
  return {
    firstSeed: isOne ? number('seed', seed, 0, MOST, 0) : number('first-seed', values['first-seed'], 0, MOST, 1),
    seeds: isOne ? 1 : number('seeds', seeds, 1, 10_000_000, 500),
    jobs: number('jobs', values.jobs, 1, 256, availableParallelism()),
    json,
    trace,
    plantedBugs: plants ? (bug ?? '') : undefined,
    only: only === undefined ? undefined : only === '' ? [] : only.split(',').map((each) => number('only', each, 0, 1_000, 0)),
  }
}

/** The command that goes on where a run was broken off. */
export function commandToGoOn({ firstSeed, seeds, jobs, json }: Omit<SimulateOptions, 'plantedBugs' | 'trace' | 'only'>): string {
  return `npm run simulate -- --first-seed ${firstSeed} --seeds ${seeds} --jobs ${jobs}${json ? ' --json' : ''}`
}

/** The command that shows one world. */
export function commandToReplay(seed: number, only: readonly number[] | undefined): string {
  return `npm run simulate -- --seed ${seed}${only === undefined ? '' : ` --only ${only.length === 0 ? "''" : only.join(',')}`} --trace`
}

type Given = { readonly [name in 'seeds' | 'first-seed' | 'jobs' | 'seed' | 'only' | 'bug']?: string | undefined } & {
  readonly [name in 'trace' | 'json' | 'planted-bugs' | 'help']?: boolean | undefined
}

function parsed(args: readonly string[]): Given {
  try {
    const text = { type: 'string' } as const
    const flag = { type: 'boolean' } as const
    const options = {
      ...{ seeds: text, 'first-seed': text, jobs: text, seed: text, only: text, bug: text },
      ...{ trace: flag, json: flag, 'planted-bugs': flag, help: { type: 'boolean', short: 'h' } as const },
    }
    return parseArgs({ args: [...args], options, allowPositionals: false }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function number(name: string, given: string | undefined, min: number, max: number, fallback: number): number {
  if (given === undefined) return fallback
  const value = Number(given)
  if (given.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value
  throw new UsageError(`--${name} must be a whole number from ${min} to ${max}, got '${given}'`)
}
