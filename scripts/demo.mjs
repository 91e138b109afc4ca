// npm run demo: installs what is missing, then carries real flights from the sources; nothing needs to be built.
import { spawn } from 'node:child_process'
import { installMissing, refuseOldNode, root } from './install.mjs'

refuseOldNode()
await installMissing()

const child = spawn(
  process.execPath,
  ['--import', 'tsx', '-C', 'shardwise-source', 'test/demo/main.ts', ...process.argv.slice(2)],
  { cwd: root, stdio: 'inherit' },
)
// The demo decides how to end; this process waits for it. On Ctrl-C the terminal has signalled the whole group, so the child has it
// already, and a second SIGINT would mean "at once". A SIGTERM comes to this process alone, so it is passed on.
process.on('SIGINT', () => {
  if (!process.stdin.isTTY) child.kill('SIGINT')
})
process.on('SIGTERM', () => child.kill('SIGTERM'))
process.on('SIGHUP', () => child.kill('SIGTERM'))
child.once('error', (error) => {
  console.error(`The demo did not start: ${error.message}`)
  process.exitCode = 1
})
child.once('exit', (code) => {
  process.exitCode = code ?? 1
})
