import { parseArgs } from 'node:util'
import { UsageError } from '../support/program.js'
import { ALL_FLIGHTS } from './flights.js'

export interface DemoOptions {
  readonly flights: number
  /** Enhanced fan-out in place of polling. */
  readonly fanOut: boolean
  readonly json: boolean
}

export const USAGE: string = `npm run demo -- [--flights N] [--fan-out] [--json]

  --flights N  how many flights to carry, from 1000 to ${ALL_FLIGHTS} (default 300000)
  --fan-out    workers read by enhanced fan-out: the service pushes, and nothing is polled
  --json       print the result as one JSON object on the last line
`

const FEWEST_FLIGHTS = 1000
const OPTIONS = {
  flights: { type: 'string' },
  'fan-out': { type: 'boolean' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

export function parseDemoOptions(args: readonly string[]): DemoOptions | 'help' {
  let values: ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values']
  try {
    values = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: false }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  if (values.help === true) return 'help'
  const flights = values.flights === undefined ? 300_000 : Number(values.flights)
  if (!Number.isInteger(flights) || flights < FEWEST_FLIGHTS || flights > ALL_FLIGHTS) {
    throw new UsageError(`--flights must be a whole number from ${FEWEST_FLIGHTS} to ${ALL_FLIGHTS}, got '${values.flights}'`)
  }
  return { flights, fanOut: values['fan-out'] === true, json: values.json === true }
}
