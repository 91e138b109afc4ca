import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { repository, workspacePackages } from './workspace-packages.js'

/** A new user's project: empty but for the packed packages, their peers, and Node 22 and 24. */
export interface PackedProject {
  readonly folder: string
  /** By package name. */
  readonly tarballs: ReadonlyMap<string, string>
  /** Path of the node binary by its major version. */
  readonly nodes: ReadonlyMap<number, string>
  remove(): void
}

/** Builds, packs each package, and installs the tarballs into a project in the system's temporary folder. */
export function packAndInstall(): PackedProject {
  // Resolved, because macOS' temporary folder is a link and the compiler names real paths.
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'shardwise-packaging-')))
  try {
    return install(folder)
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

function install(folder: string): PackedProject {
  // Nothing to do when `npm test` has built already.
  command(
    process.execPath,
    [join(repository, 'node_modules/turbo/bin/turbo'), 'run', 'build', '--output-logs=errors-only'],
    repository,
  )
  const packed = join(folder, 'tarballs')
  mkdirSync(packed)
  npm(['pack', '--workspaces', '--pack-destination', packed, '--silent'], repository)
  const tarballs = new Map(
    workspacePackages.map(({ manifest: { name, version } }) => {
      return [name, join(packed, `${name.replace('@', '').replace('/', '-')}-${version}.tgz`)]
    }),
  )

  const peers = new Set(workspacePackages.flatMap(({ manifest }) => Object.keys(manifest.peerDependencies ?? {})))
  // npm's `node` package is a script that fetches one of these at installation. Taken directly, no installation script need run.
  const binary = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
  const dependencies = {
    ...Object.fromEntries([...tarballs].map(([name, file]) => [name, `file:${file}`])),
    ...Object.fromEntries([...peers, '@types/node'].map((name) => [name, installedVersion(name)])),
    node22: `npm:${binary}@22`,
    node24: `npm:${binary}@24`,
  }
  const manifest = { name: 'empty-project', private: true, type: 'module', dependencies }
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest, undefined, 2))
  npm(['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'], folder)

  const executable = process.platform === 'win32' ? 'bin/node.exe' : 'bin/node'
  const nodes = new Map([[Number(process.versions.node.split('.')[0]), process.execPath]])
  for (const major of [22, 24]) nodes.set(major, join(folder, 'node_modules', `node${major}`, executable))
  return { folder, tarballs, nodes, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

function installedVersion(name: string): string {
  const { version }: { version: string } = JSON.parse(
    readFileSync(join(repository, 'node_modules', name, 'package.json'), 'utf8'),
  )
  return version
}

function npm(args: readonly string[], cwd: string): void {
  command('npm', args, cwd, process.platform === 'win32')
}

function command(name: string, args: readonly string[], cwd: string, shell = false): void {
  const env = { ...process.env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' }
  const { status, stdout, stderr, error } = spawnSync(name, args, { cwd, shell, env, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${name} ${args.join(' ')} failed (${error?.message ?? status}):\n${stdout}\n${stderr}`)
}
