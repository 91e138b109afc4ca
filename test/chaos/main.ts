/** `npm run chaos`: producers, workers and services in processes of their own, everything that can happen to them, and the proof that nothing was lost. */
import { commandOf, parseChaosOptions, USAGE, UsageError } from './chaos-options.js'

const EXIT_USAGE = 2
const EXIT_INTERRUPTED = 130

try {
  const options = parseChaosOptions(process.argv.slice(2), Date.now() % 1_000_000)
  if (options === 'help') process.stdout.write(USAGE)
  else {
    const interruption = new AbortController()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => interruption.abort(new Error(`Interrupted by ${signal}`)))
    }
    try {
      // Only now: a usage error should not wait for it.
      const { runScenario } = await import('./scenario.js')
      const result = await runScenario(options, interruption.signal)
      for (const finding of result.findings) process.stdout.write(`  ${finding}\n`)
      process.stdout.write(`${result.passed ? 'passed' : `FAILED. To repeat it: ${commandOf(options)}`}\n`)
      if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`)
      process.exit(result.passed ? 0 : 1)
    } catch (error) {
      const interrupted = interruption.signal.aborted
      if (interrupted)
        process.stderr.write(`${interruption.signal.reason.message}; everything was stopped and nothing is left behind.\n`)
      else {
        console.error(error)
        process.stderr.write(`To repeat it: ${commandOf(options)}\n`)
      }
      process.exit(interrupted ? EXIT_INTERRUPTED : 1)
    }
  }
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\n\n${USAGE}`)
  process.exitCode = EXIT_USAGE
}
