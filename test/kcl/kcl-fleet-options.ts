import { parseArgs } from 'node:util'

export interface KclFleetOptions {
  /** The major version of Java's KCL; pom.xml names the release. */
  readonly kcl: '2' | '3'
  readonly json: boolean
}

/** The command line is not usable. The message names the argument, the rule and what was given. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export const USAGE: string = `npm run kcl-fleet -- --kcl 2|3 [--json]

  --kcl N  the major version of Amazon's KCL for Java
  --json   print the result as one JSON object on the last line

Needs Java 17 or newer and Maven.
`

export function parseKclFleetOptions(args: readonly string[]): KclFleetOptions | 'help' {
  let values: { kcl?: string | undefined; json?: boolean | undefined; help?: boolean | undefined }
  try {
    const options = { kcl: { type: 'string' }, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const
    values = parseArgs({ args: [...args], options, allowPositionals: false }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  if (values.help === true) return 'help'
  if (values.kcl !== '2' && values.kcl !== '3') throw new UsageError(`--kcl must be 2 or 3, got '${values.kcl ?? ''}'`)
  return { kcl: values.kcl, json: values.json === true }
}
