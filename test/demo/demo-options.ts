import { parseArgs } from 'node:util'
import { ALL_FLIGHTS } from './flights.js'

export interface DemoOptions {
  readonly flights: number
  readonly json: boolean
}

/** The command line is not usable. The message names the argument, the rule and what was given. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export const USAGE: string = `npm run demo -- [--flights N] [--json]

  --flights N  how many flights to carry, from 1000 to ${ALL_FLIGHTS} (default 300000)
  --json       print the result as one JSON object on the last line
`

const FEWEST_FLIGHTS = 1000

export function parseDemoOptions(args: readonly string[]): DemoOptions | 'help' {
  let values: { flights?: string | undefined; json?: boolean | undefined; help?: boolean | undefined }
  try {
    const options = { flights: { type: 'string' }, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const
    values = parseArgs({ args: [...args], options, allowPositionals: false }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  if (values.help === true) return 'help'
  const flights = values.flights === undefined ? 300_000 : Number(values.flights)
  if (!Number.isInteger(flights) || flights < FEWEST_FLIGHTS || flights > ALL_FLIGHTS) {
    throw new UsageError(`--flights must be a whole number from ${FEWEST_FLIGHTS} to ${ALL_FLIGHTS}, got '${values.flights}'`)
  }
  return { flights, json: values.json === true }
}
