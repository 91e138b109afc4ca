import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const FOLDER = new URL('peers/', import.meta.url)

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version?: string }>>
}

/**
 * A package that is no dependency of this repository, as it brings version 2 of the AWS SDK with it (119 MB, at its end of life): what
 * benchmarks/peers/package-lock.json pins is installed when it is first asked for, without running its scripts. Throws an error that says
 * why where that does not work.
 */
export async function peer<Module>(name: string, progress: (step: string) => void): Promise<Module> {
  const pinned = lockOf('package-lock.json')
  const installed = lockOf('node_modules/.package-lock.json')
  const missing = Object.entries(pinned).some(([path, { version }]) => path !== '' && installed[path]?.version !== version)
  if (missing) {
    progress('preparing, installing benchmarks/peers')
    await npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'])
  }
  return createRequire(new URL('package.json', FOLDER))(name) as Module
}

function lockOf(file: string): Lock['packages'] {
  const url = new URL(file, FOLDER)
  return existsSync(url) ? (JSON.parse(readFileSync(url, 'utf8')) as Lock).packages : {}
}

async function npm(args: readonly string[]): Promise<void> {
  // npm.cmd needs a shell.
  const child = spawn('npm', args, {
    cwd: fileURLToPath(FOLDER),
    stdio: ['ignore', 'ignore', 'pipe'],
    shell: process.platform === 'win32',
  })
  let output = ''
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk
  })
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`npm ci in benchmarks/peers failed (exit code ${code}): ${output.trim().slice(0, 300)}`)
}
