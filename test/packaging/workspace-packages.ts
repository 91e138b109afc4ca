import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export interface Manifest {
  readonly name: string
  readonly version: string
  readonly description?: string
  readonly license?: string
  readonly type?: string
  readonly engines?: { readonly node?: string }
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  readonly files?: readonly string[]
  readonly bin?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

export interface WorkspacePackage {
  /** Absolute, without a slash at the end. */
  readonly folder: string
  readonly manifest: Manifest
  /** What users write after `from`, for each code entry of "exports". */
  readonly specifiers: readonly string[]
}

/** The checkout, without a slash at the end. */
export const repository: string = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

export const workspacePackages: readonly WorkspacePackage[] = readdirSync(`${repository}/packages`)
  .sort()
  .map((name) => {
    const folder = `${repository}/packages/${name}`
    const manifest: Manifest = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
    const subpaths = Object.keys(manifest.exports).filter((subpath) => subpath !== './package.json')
    return { folder, manifest, specifiers: subpaths.map((subpath) => manifest.name + subpath.slice(1)) }
  })
