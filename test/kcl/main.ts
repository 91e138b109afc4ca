/** `npm run kcl-fleet`: Amazon's KCL for Java and Shardwise on one lease table, and a count of what they saw. Not part of `npm test`. */
import { MissingToolError } from './java-tools.js'
import { parseKclFleetOptions, USAGE, UsageError } from './kcl-fleet-options.js'
import { passed } from './verdict.js'

const EXIT_USAGE = 2
const EXIT_INTERRUPTED = 130

const interruption = new AbortController()
try {
  const options = parseKclFleetOptions(process.argv.slice(2))
  if (options === 'help') {
    process.stdout.write(USAGE)
    process.exit(0)
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => interruption.abort(new Error(`Interrupted by ${signal}`)))
  }
  // Only now: loading two AWS clients takes a while, and a usage error should not wait for it.
  const { runKclFleet } = await import('./kcl-fleet.js')
  const result = await runKclFleet(options, interruption.signal)
  if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`)
  process.exitCode = passed(result) ? 0 : 1
} catch (error) {
  if (interruption.signal.aborted) process.stderr.write(`${interruption.signal.reason.message}; everything was ended.\n`)
  else if (error instanceof UsageError) process.stderr.write(`${error.message}\n\n${USAGE}`)
  else if (error instanceof MissingToolError) process.stderr.write(`${error.message}\n`)
  else console.error(error)
  // What a producer or a consumer still holds must not keep this process.
  process.exit(interruption.signal.aborted ? EXIT_INTERRUPTED : error instanceof UsageError ? EXIT_USAGE : 1)
}
