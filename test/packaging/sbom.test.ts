import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { repository } from './workspace-packages.js'

interface Component {
  readonly 'bom-ref': string
  readonly purl: string
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[]
  readonly licenses?: readonly { readonly license: { readonly id: string } }[]
}

interface Bom {
  readonly components: readonly Component[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
}

function bom(): Bom {
  const { stdout, stderr, status } = spawnSync(process.execPath, [join(repository, 'scripts/sbom.mjs')], { encoding: 'utf8' })
  expect(status, stderr).toBe(0)
  return JSON.parse(stdout)
}

const nameOf = (ref: string): string => ref.slice(0, ref.lastIndexOf('@'))

/** All that a package brings, without our own. */
function brought({ dependencies }: Bom, name: string): string[] {
  const found = new Set<string>()
  const walk = (ref: string): void => {
    if (found.has(ref)) return
    found.add(ref)
    dependencies.find((each) => each.ref === ref)!.dependsOn.forEach(walk)
  }
  walk(dependencies.find(({ ref }) => ref !== name && nameOf(ref) === name)!.ref)
  return [...found]
    .map(nameOf)
    .filter((each) => !each.startsWith('@shardwise/') && each !== 'shardwise')
    .sort()
}

// A new runtime dependency is a decision: it comes into every process that uses the package. The AWS clients are peers, and the user's.
it.each<[string, string[]]>([
  ['@shardwise/aggregation', []],
  ['@shardwise/core', ['@smithy/core', '@smithy/node-http-handler', '@smithy/types', 'is-network-error', 'p-retry', 'tslib']],
  ['@shardwise/producer', ['@smithy/core', '@smithy/node-http-handler', '@smithy/types', 'is-network-error', 'p-retry', 'tslib']],
  ['@shardwise/consumer', ['@smithy/core', '@smithy/node-http-handler', '@smithy/types', 'is-network-error', 'p-retry', 'tslib']],
])('%s brings %j and nothing else', (name, expected) => {
  expect(brought(bom(), name)).toEqual(expected)
})

it('the bill of materials is complete: each component with version, licence and, unless it is ours, the hash of its content', () => {
  const { components, dependencies } = bom()
  const refs = components.map((component) => component['bom-ref'])
  expect(new Set(refs).size).toBe(refs.length)
  for (const component of components) {
    const { 'bom-ref': ref, purl, hashes, licenses } = component
    expect(purl).toMatch(/^pkg:npm\/(%40[\w-]+\/)?[\w.-]+@\d+\.\d+\.\d+/)
    expect(licenses?.[0]?.license.id, ref).toMatch(/^(Apache-2\.0|MIT|ISC|0BSD|BSD-3-Clause)$/)
    if (!/^(@shardwise\/|shardwise@)/.test(ref))
      expect(hashes?.[0], ref).toMatchObject({ alg: 'SHA-512', content: expect.stringMatching(/^[0-9a-f]{128}$/) })
  }
  for (const { dependsOn } of dependencies) for (const ref of dependsOn) expect(refs).toContain(ref)
})
