import { parseArgs } from 'node:util'
import { UsageError } from '../support/program.js'

export type Ordering = 'none' | 'perShard' | 'perKey'
export type Aggregation = 'shard' | 'key' | 'off'

export interface SoakOptions {
  readonly minutes: number
  readonly shards: number
  readonly seed: number
  readonly ordering: Ordering
  readonly aggregation: Aggregation
  readonly json: boolean
}

export const USAGE: string = `npm run soak -- [--minutes N] [--shards N] [--seed N] [--ordering O] [--aggregation A] [--json]

  --minutes N      how long to put records at least, from 0.25 to 240 (default 10)
  --shards N       shards at the start, from 1 to 16 (default 3)
  --seed N         decides faults, reshards and records; a run tells its own (default: by the time of day)
  --ordering O     none, perShard or perKey (default none)
  --aggregation A  shard, key or off (default shard)
  --json           print the result as one JSON object on the last line
`

export function parseSoakOptions(args: readonly string[], seedOfTheDay: number): SoakOptions | 'help' {
  const values = parsed(args)
  if (values.help === true) return 'help'
  return {
    minutes: number('minutes', values.minutes, { min: 0.25, max: 240, fallback: 10, whole: false }),
    shards: number('shards', values.shards, { min: 1, max: 16, fallback: 3, whole: true }),
    seed: number('seed', values.seed, { min: 0, max: 2 ** 32 - 1, fallback: seedOfTheDay, whole: true }),
    ordering: choice('ordering', values.ordering, ['none', 'perShard', 'perKey'], 'none'),
    aggregation: choice('aggregation', values.aggregation, ['shard', 'key', 'off'], 'shard'),
    json: values.json === true,
  }
}

/** The command that repeats a run. */
export function commandOf({ minutes, shards, seed, ordering, aggregation }: SoakOptions): string {
  return `npm run soak -- --minutes ${minutes} --shards ${shards} --seed ${seed} --ordering ${ordering} --aggregation ${aggregation}`
}

type Given = { readonly [name in 'minutes' | 'shards' | 'seed' | 'ordering' | 'aggregation']?: string | undefined } & {
  readonly json?: boolean | undefined
  readonly help?: boolean | undefined
}

function parsed(args: readonly string[]): Given {
  try {
    const text = { type: 'string' } as const
    const options = {
      ...{ minutes: text, shards: text, seed: text, ordering: text, aggregation: text },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    } as const
    return parseArgs({ args: [...args], options, allowPositionals: false }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function number(
  name: string,
  given: string | undefined,
  {
    min,
    max,
    fallback,
    whole,
  }: { readonly min: number; readonly max: number; readonly fallback: number; readonly whole: boolean },
): number {
  if (given === undefined) return fallback
  const value = Number(given)
  if (given.trim() !== '' && value >= min && value <= max && (!whole || Number.isInteger(value))) return value
  throw new UsageError(`--${name} must be a ${whole ? 'whole ' : ''}number from ${min} to ${max}, got '${given}'`)
}

function choice<T extends string>(name: string, given: string | undefined, choices: readonly T[], fallback: T): T {
  const value = given === undefined ? fallback : choices.find((one) => one === given)
  if (value !== undefined) return value
  throw new UsageError(`--${name} must be one of ${choices.join(', ')}, got '${given}'`)
}
