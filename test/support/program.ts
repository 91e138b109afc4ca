/** What the commands of this repository that start processes have in common: how they begin, how Ctrl-C ends them, and their exit codes. */

const EXIT_USAGE = 2
const EXIT_INTERRUPTED = 130

/** The command line is not usable. The message names the argument, the rule and what was given. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export interface Program<Options> {
  readonly usage: string
  /** Throws UsageError. */
  readonly parse: (args: readonly string[]) => Options | 'help'
  /** Resolves to whether it has passed, when nothing is left behind. Loads what it needs itself: a usage error should not wait for that. */
  readonly run: (options: Options, interrupted: AbortSignal) => Promise<boolean>
  /** The command that does the same again, where there is a seed to it. */
  readonly repeat?: (options: Options) => string
}

/** 0: passed, 1: not, 2: not understood, 130: interrupted. */
export async function runProgram<Options>({ usage, parse, run, repeat }: Program<Options>): Promise<void> {
  let options: Options | 'help'
  try {
    options = parse(process.argv.slice(2))
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`${error.message}\n\n${usage}`)
    process.exitCode = EXIT_USAGE
    return
  }
  if (options === 'help') return void process.stdout.write(usage)
  const interruption = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => interruption.abort(new Error(`Interrupted by ${signal}`)))
  }
  try {
    // What has passed ends by itself. What has not may hold records that never settle, and they must not keep this process.
    if (!(await run(options, interruption.signal))) process.exit(1)
  } catch (error) {
    if (interruption.signal.aborted) {
      process.stderr.write(`${interruption.signal.reason.message}; everything was stopped and nothing is left behind.\n`)
      process.exit(EXIT_INTERRUPTED)
    }
    console.error(error)
    if (repeat !== undefined) process.stderr.write(`To repeat it: ${repeat(options)}\n`)
    process.exit(1)
  }
}
