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
 * Packages that are no dependencies of this repository, as they bring version 2 of the AWS SDK with them (119 MB, at its end of life): what
 * benchmarks/peers/package-lock.json pins is installed unless it is there, without running its scripts. Resolves to why that does not work,
 * or to undefined when all are there.
 */
export async function installPeers(progress: (step: string) => void): Promise<string | undefined> {
  const pinned = lockOf('package-lock.json')
  const installed = lockOf('node_modules/.package-lock.json')
  const missing = Object.entries(pinned).some(([path, { version }]) => path !== '' && installed[path]?.version !== version)
  if (!missing) return undefined
  progress('preparing, installing benchmarks/peers')
  return npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'])
}

/** One of them, once they are installed. */
export function peer<Module>(name: string): Module {
  // Its note that it is at its end would stand between the lines.
  process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = '1'
  return createRequire(new URL('package.json', FOLDER))(name) as Module
}

function lockOf(file: string): Lock['packages'] {
  const url = new URL(file, FOLDER)
  return existsSync(url) ? (JSON.parse(readFileSync(url, 'utf8')) as Lock).packages : {}
}

async function npm(args: readonly string[]): Promise<string | undefined> {
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
  return code === 0 ? undefined : `npm ci in benchmarks/peers failed (exit code ${code}): ${output.trim().slice(0, 300)}`
}
