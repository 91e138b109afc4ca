/** `npm run soak`: a producer at its shards' full rate, with faults and reshards, for as long as you like, and the proof that nothing was lost. */
import { commandOf, parseSoakOptions, USAGE, UsageError } from './soak-options.js'

const EXIT_USAGE = 2
const EXIT_INTERRUPTED = 130

try {
  const options = parseSoakOptions(process.argv.slice(2), Date.now() % 1_000_000)
  if (options === 'help') process.stdout.write(USAGE)
  else {
    const interruption = new AbortController()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => interruption.abort(new Error(`Interrupted by ${signal}`)))
    }
    try {
      // Only now: loading the AWS client takes a while, and a usage error should not wait for it.
      const { passed, runSoak } = await import('./soak.js')
      const result = await runSoak(options, interruption.signal)
      const isPassed = passed(result)
      if (options.json) process.stdout.write(`${JSON.stringify({ passed: isPassed, ...result })}\n`)
      // A producer with records that never settle would keep the process.
      if (!isPassed) process.exit(1)
    } catch (error) {
      const interrupted = interruption.signal.aborted
      if (interrupted)
        process.stderr.write(`${interruption.signal.reason.message}; everything was stopped and nothing is left behind.\n`)
      else {
        console.error(error)
        process.stderr.write(`To repeat it: ${commandOf(options)}\n`)
      }
      // The service has ended. What the producer still holds must not keep this process until its time to live is over.
      process.exit(interrupted ? EXIT_INTERRUPTED : 1)
    }
  }
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\n\n${USAGE}`)
  process.exitCode = EXIT_USAGE
}
