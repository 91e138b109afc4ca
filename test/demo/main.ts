/** `npm run demo`: real flights through Kinesis, with splits, merges, a stopped and a killed worker on the way, and a proof at the end. */
import { runProgram } from '../support/program.js'
import { parseDemoOptions, USAGE } from './demo-options.js'
import { passed } from './verdict.js'

await runProgram({
  usage: USAGE,
  parse: parseDemoOptions,
  run: async (options, interrupted) => {
    const { runDemo } = await import('./demo.js')
    const result = await runDemo(options, interrupted)
    if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`)
    return passed(result)
  },
})
