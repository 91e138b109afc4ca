/** `npm run demo`: real flights through Kinesis, with splits, merges, a stopped and a killed worker on the way, and a proof at the end. */
import { parseDemoOptions, USAGE, UsageError } from './demo-options.js'
import { passed } from './verdict.js'

const EXIT_USAGE = 2
const EXIT_INTERRUPTED = 130

try {
  const options = parseDemoOptions(process.argv.slice(2))
  if (options === 'help') process.stdout.write(USAGE)
  else {
    const interruption = new AbortController()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => interruption.abort(new Error(`Interrupted by ${signal}`)))
    }
    try {
      // Only now: loading two AWS clients takes a while, and a usage error should not wait for it.
      const { runDemo } = await import('./demo.js')
      const result = await runDemo(options, interruption.signal)
      if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`)
      process.exitCode = passed(result) ? 0 : 1
    } catch (error) {
      const interrupted = interruption.signal.aborted
      if (interrupted)
        process.stderr.write(`${interruption.signal.reason.message}; everything was stopped and nothing is left behind.\n`)
      else console.error(error)
      // Workers and service have ended. What the producer still holds must not keep this process until its time to live is over.
      process.exit(interrupted ? EXIT_INTERRUPTED : 1)
    }
  }
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\n\n${USAGE}`)
  process.exitCode = EXIT_USAGE
}
