// Installs what is missing, then runs a TypeScript program of this repository on the sources; nothing needs to be built.
import { spawn } from 'node:child_process'
import { installMissing, refuseOldNode, root } from './install.mjs'

/** Runs `file` with this process' arguments, and ends with its exit code. `afterTsx`: more options of Node, for modules that see what tsx has made. */
export async function runSource(name, file, nodeOptions = [], afterTsx = []) {
  refuseOldNode()
  await installMissing()
  const child = spawn(
    process.execPath,
    [...nodeOptions, '--import', 'tsx', '-C', 'shardwise-source', ...afterTsx, file, ...process.argv.slice(2)],
    // The AWS SDK's note on the Node of next year, once per process, would stand between the lines of the story.
    { cwd: root, stdio: 'inherit', env: { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' } },
  )
  // The program decides how to end; this process only passes signals on and waits for it. On Ctrl-C in a terminal the child has the signal
  // already, as the terminal signals the whole group: to be told twice does it no harm.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => child.kill(signal === 'SIGHUP' ? 'SIGTERM' : signal))
  child.once('error', (error) => {
    console.error(`The ${name} did not start: ${error.message}`)
    process.exitCode = 1
  })
  child.once('exit', (code) => {
    process.exitCode = code ?? 1
  })
}
