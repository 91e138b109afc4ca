import { runCommandLine } from './command-line.js'
import { ProcessTerminal } from './terminal.js'

// The code is set, not exited with: output still on its way is written, and a handle left open would show as a process that stays.
const terminal = new ProcessTerminal().open()
process.exitCode = await runCommandLine(process.argv.slice(2), terminal)
terminal.close()
