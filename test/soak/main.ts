/** `npm run soak`: a producer at its shards' full rate, with faults and reshards, for as long as you like, and the proof that nothing was lost. */
import { runProgram } from '../support/program.js'
import { commandOf, parseSoakOptions, USAGE } from './soak-options.js'

await runProgram({
  usage: USAGE,
  parse: (args) => parseSoakOptions(args, Date.now() % 1_000_000),
  repeat: commandOf,
  run: async (options, interrupted) => {
    const { passed, runSoak } = await import('./soak.js')
    const result = await runSoak(options, interrupted)
    const isPassed = passed(result)
    if (options.json) process.stdout.write(`${JSON.stringify({ passed: isPassed, ...result })}\n`)
    return isPassed
  },
})
