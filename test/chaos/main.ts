/** `npm run chaos`: producers, workers and services in processes of their own, everything that can happen to them, and the proof that nothing was lost. */
import { runProgram } from '../support/program.js'
import { commandOf, parseChaosOptions, USAGE } from './chaos-options.js'

await runProgram({
  usage: USAGE,
  parse: (args) => parseChaosOptions(args, Date.now() % 1_000_000),
  repeat: commandOf,
  run: async (options, interrupted) => {
    const { runScenario } = await import('./scenario.js')
    const result = await runScenario(options, interrupted)
    for (const finding of result.findings) process.stdout.write(`  ${finding}\n`)
    process.stdout.write(`${result.passed ? 'passed' : `FAILED. To repeat it: ${commandOf(options)}`}\n`)
    if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`)
    return result.passed
  },
})
