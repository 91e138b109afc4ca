import { parseArgs } from 'node:util'
import { UsageError } from '../support/program.js'

export const SCENARIOS = ['all', 'kinesis-down', 'dynamodb-down'] as const
export type Scenario = (typeof SCENARIOS)[number]
export type Reading = 'polling' | 'fan-out' | 'mixed'

export interface ChaosOptions {
  readonly scenario: Scenario
  /** Of disturbance or of outage. */
  readonly minutes: number
  readonly seed: number
  readonly reading: Reading
  readonly json: boolean
}

export const USAGE: string = `npm run chaos -- [--scenario S] [--minutes N] [--seed N] [--fan-out | --polling] [--json]

  --scenario S     all (default): everything that can happen, drawn by lot;
                   kinesis-down: Kinesis is away, at full load; dynamodb-down: the lease table is away
  --minutes N      how long things go wrong, or the outage lasts, from 0.2 to 60 (default 10)
  --seed N         decides what happens and when; a run tells its own (default: by the time of day)
  --fan-out        all workers read by enhanced fan-out (default: every other one)
  --polling        none of them does
  --json           print the result as one JSON object on the last line
`

export function parseChaosOptions(args: readonly string[], seedOfTheDay: number): ChaosOptions | 'help' {
  const values = parsed(args)
  if (values.help === true) return 'help'
  if (values['fan-out'] === true && values.polling === true) throw new UsageError('--fan-out and --polling exclude each other')
  return {
    scenario: scenario(values.scenario),
    minutes: number('minutes', values.minutes, { min: 0.2, max: 60, fallback: 10, whole: false }),
    seed: number('seed', values.seed, { min: 0, max: 2 ** 32 - 1, fallback: seedOfTheDay, whole: true }),
    reading: values['fan-out'] === true ? 'fan-out' : values.polling === true ? 'polling' : 'mixed',
    json: values.json === true,
  }
}

/** The command that repeats a run. */
export function commandOf({ scenario, minutes, seed, reading }: ChaosOptions): string {
  const way = reading === 'mixed' ? '' : ` --${reading}`
  return `npm run chaos -- --scenario ${scenario} --minutes ${minutes} --seed ${seed}${way}`
}

interface Given {
  readonly scenario?: string | undefined
  readonly minutes?: string | undefined
  readonly seed?: string | undefined
  readonly 'fan-out'?: boolean | undefined
  readonly polling?: boolean | undefined
  readonly json?: boolean | undefined
  readonly help?: boolean | undefined
}

function parsed(args: readonly string[]): Given {
  try {
    const [text, flag] = [{ type: 'string' }, { type: 'boolean' }] as const
    const options = {
      ...{ scenario: text, minutes: text, seed: text, 'fan-out': flag, polling: flag, json: flag },
      help: { type: 'boolean', short: 'h' },
    } as const
    return parseArgs({ args: [...args], options, allowPositionals: false }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function scenario(given: string | undefined): Scenario {
  const value = SCENARIOS.find((one) => one === (given ?? 'all'))
  if (value === undefined) throw new UsageError(`--scenario must be one of ${SCENARIOS.join(', ')}, got '${given}'`)
  return value
}

interface NumberRule {
  readonly min: number
  readonly max: number
  readonly fallback: number
  readonly whole: boolean
}

function number(name: string, given: string | undefined, { min, max, fallback, whole }: NumberRule): number {
  if (given === undefined) return fallback
  const value = Number(given)
  if (given.trim() !== '' && value >= min && value <= max && (!whole || Number.isInteger(value))) return value
  throw new UsageError(`--${name} must be a ${whole ? 'whole ' : ''}number from ${min} to ${max}, got '${given}'`)
}
