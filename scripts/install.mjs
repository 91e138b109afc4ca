// What both commands need first: the right Node, and the dependencies of package-lock.json. Plain JavaScript without dependencies,
// because it runs in a fresh clone.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Ends the process when this Node cannot `require` an ES module, which the packages promise (Node 20.19). */
export function refuseOldNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  console.error(
    `Shardwise needs Node 20.19 or newer; this is Node ${process.versions.node}. Install a newer one from https://nodejs.org.`,
  )
  process.exit(1)
}

const children = new Set()

/** Resolves with the exit code; a child that a signal ended counts as failed. */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit', ...options })
    children.add(child)
    child.once('error', reject)
    child.once('exit', (code) => {
      children.delete(child)
      resolve(code ?? 1)
    })
  })
}

/** Passes a signal on to what `run` has started, and resolves when that has ended. */
export async function endChildren(signal) {
  await Promise.all([...children].map((child) => new Promise((resolve) => child.once('exit', resolve).kill(signal))))
}

/** Installs what package-lock.json lists unless it is there, and says in one line which of the two it was. */
export async function installMissing() {
  const lock = packagesOf(join(root, 'package-lock.json'))
  const listed = Object.entries(lock).filter(([path]) => /(^|\/)node_modules\//.test(path))
  const known = installed()
  const missing = listed.filter(([path, entry]) => !isThere(path, entry, known))
  if (missing.length === 0) {
    console.error(`Dependencies: everything was there (${listed.length} packages).`)
    return
  }
  console.error(`Dependencies: ${missing.length} of ${listed.length} packages are missing, running npm ci ...`)
  const started = Date.now()
  const progress = setInterval(() => console.error(`Dependencies: still installing, ${seconds(started)} s ...`), 5_000)
  // The level is set, as `npm test --silent` would else hide the reason of a failure.
  // npm writes to our standard error: standard output belongs to the command itself (the demo's --json). npm.cmd needs a shell.
  const code = await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  }).finally(() => clearInterval(progress))
  if (code !== 0) {
    console.error(
      `npm ci failed (exit code ${code}). Its message above says why; check the network and your npm registry, then try again.`,
    )
    process.exit(1)
  }
  console.error(`Dependencies: installed ${installedCount()} packages in ${seconds(started)} s.`)
}

// npm leaves in node_modules/.package-lock.json what it has installed. Comparing versions, not file times, survives a git checkout.
const installed = () => packagesOf(join(root, 'node_modules', '.package-lock.json'))

function installedCount() {
  return Object.values(installed()).filter((entry) => entry.version !== undefined && entry.link !== true).length
}

function isThere(path, entry, known) {
  if (entry.link === true) return existsSync(join(root, path))
  // A binary for another platform is listed in the lock and never installed here.
  if (entry.optional === true && known[path] === undefined && Object.keys(known).length > 0) return true
  return known[path]?.version === entry.version && existsSync(join(root, path))
}

function packagesOf(file) {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')).packages ?? {}) : {}
}

function seconds(since) {
  return ((Date.now() - since) / 1000).toFixed(1)
}
