// npm run bench: installs what is missing, then measures the sources; nothing needs to be built.
import { spawn } from 'node:child_process'
import { installMissing, refuseOldNode, root } from './install.mjs'

refuseOldNode()
await installMissing()

const child = spawn(
  process.execPath,
  ['--expose-gc', '--import', 'tsx', '-C', 'shardwise-source', 'benchmarks/main.ts', ...process.argv.slice(2)],
  { cwd: root, stdio: 'inherit' },
)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.once('error', (error) => {
  console.error(`The benchmarks did not start: ${error.message}`)
  process.exitCode = 1
})
child.once('exit', (code) => {
  process.exitCode = code ?? 1
})
