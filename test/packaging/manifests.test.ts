import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { repository, workspacePackages } from './workspace-packages.js'

interface LockEntry {
  readonly version?: string
  readonly resolved?: string
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const versions = new Map(workspacePackages.map(({ manifest }) => [manifest.name, manifest.version]))
const lock: { packages: Record<string, LockEntry> } = JSON.parse(readFileSync(`${repository}/package-lock.json`, 'utf8'))

it('finds the six packages', () => {
  expect([...versions.keys()].sort()).toEqual([
    '@shardwise/aggregation',
    '@shardwise/consumer',
    '@shardwise/core',
    '@shardwise/local',
    '@shardwise/producer',
    'shardwise',
  ])
})

it('gives all packages one version', () => {
  expect(new Set(versions.values()).size).toBe(1)
})

it('names no registry host in package-lock.json', () => {
  const resolved = Object.values(lock.packages).map((entry) => entry.resolved ?? '')
  expect(resolved.filter((url) => url.includes('://'))).toEqual([])
})

// npm ci refuses a lock in which a binary for another platform is missing. npm writes such a lock when the registry that it asked lacks
// that version.
it('has the binaries for every platform in package-lock.json', () => {
  const named = Object.entries(lock.packages).flatMap(([path, { optionalDependencies = {} }]) => {
    return Object.keys(optionalDependencies).map((name) => [path, name] as const)
  })
  const has = (path: string): boolean => lock.packages[path] !== undefined
  expect(named.length).toBeGreaterThan(0)
  expect(named.filter(([path, name]) => !has(`node_modules/${name}`) && !has(`${path}/node_modules/${name}`))).toEqual([])
})

describe.each(workspacePackages.map((x) => [x.manifest.name, x] as const))('%s', (_, { folder, manifest }) => {
  it('carries what users look for', () => {
    expect(manifest).toMatchObject({
      license: 'Apache-2.0',
      type: 'module',
      description: expect.any(String),
      engines: { node: '>=20.19' },
    })
    expect(existsSync(`${folder}/README.md`)).toBe(true)
    expect(readFileSync(`${folder}/LICENSE`, 'utf8')).toBe(readFileSync(`${repository}/LICENSE`, 'utf8'))
  })

  it('gives each entry its source, types and code, in the order in which resolvers read them', () => {
    for (const [subpath, target] of Object.entries(manifest.exports)) {
      if (typeof target === 'string') continue
      expect(Object.keys(target), subpath).toEqual(['shardwise-source', 'types', 'default'])
      expect(existsSync(`${folder}/${target['shardwise-source']}`), `${subpath} of ${manifest.name}`).toBe(true)
    }
  })

  it('depends on its siblings at their version and on installed packages by range', () => {
    for (const [name, range] of Object.entries({ ...manifest.dependencies, ...manifest.peerDependencies })) {
      const sibling = versions.get(name)
      if (sibling !== undefined) expect(range, name).toBe(sibling)
      else {
        expect(range, name).toMatch(/^\^\d+\.\d+\.\d+( \|\| \^\d+\.\d+\.\d+)*$/)
        const major = lock.packages[`node_modules/${name}`]?.version?.split('.')[0]
        expect(
          range.split(' || ').map((part) => part.slice(1).split('.')[0]),
          `${name} ${range} against what is tested`,
        ).toContain(major)
      }
    }
  })
})
