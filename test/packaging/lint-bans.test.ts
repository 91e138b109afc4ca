import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { repository } from './workspace-packages.js'

const time = 'plugin: Real time'
const random = 'plugin: Randomness'
const hidden = 'plugin: Import this'
const global = 'lint/style/noRestrictedGlobals'
const imports = 'lint/style/noRestrictedImports'
const undeclared = 'lint/correctness/noUndeclaredDependencies'
const any = 'lint/suspicious/noExplicitAny'
const reExport = 'lint/performance/noReExportAll'

/** Folder of the file, its code, and the start of the complaint that it must cause. */
const refused: readonly (readonly [file: string, code: string, complaint: string])[] = [
  ['packages/core/src/', 'export const a = Date.now()', time],
  ['packages/core/src/', 'export const a = Date.now', time],
  ['packages/core/src/', 'export const a = Date?.now()', time],
  ['packages/core/src/', 'const { now } = Date\nexport { now }', time],
  ['packages/core/src/', 'const { now: then } = Date\nexport { then }', time],
  ['packages/core/src/', "export const a = Date['now']()", 'lint/complexity/useLiteralKeys'],
  ['packages/core/src/', 'export const a = globalThis.Date.now()', time],
  ['packages/core/src/', 'export const a = new Date()', time],
  ['packages/core/src/', 'export const a = Date()', time],
  ['packages/core/src/', 'export const a = process.hrtime.bigint()', time],
  ['packages/core/src/', 'export const a = AbortSignal.timeout(5)', time],
  ['packages/core/src/', 'globalThis.setTimeout(() => 1, 1)', time],
  ['packages/core/src/', 'export const a = performance.now()', global],
  ['packages/core/src/', 'setTimeout(() => 1, 1)', global],
  ['packages/core/src/', 'setInterval(() => 1, 1)', global],
  ['packages/core/src/', "import { setTimeout as wait } from 'node:timers/promises'\nexport { wait }", imports],
  ['packages/core/src/', "export { performance } from 'node:perf_hooks'", imports],
  ['packages/core/src/', 'export const a = Math.random()', random],
  ['packages/core/src/', 'export const a = [1].map(Math.random)', random],
  ['packages/core/src/', 'const { random } = Math\nexport { random }', random],
  ['test/end-to-end/', 'export const a = Math.random()', random],
  ['packages/producer/src/x.test/', 'export const a = Date.now()', time],
  ['packages/core/src/', 'export const a = (x: any): unknown => x', any],
  ['packages/core/src/', 'export const a = 1 as any', any],
  ['packages/core/src/', "export * from './clock.js'", reExport],
  ['packages/core/src/', "export * as clock from './clock.js'", reExport],
  ['packages/producer/src/', "export { a } from '@shardwise/core/src/clock.js'", imports],
  ['packages/producer/src/', "export { a } from '@shardwise/core/dist/clock.js'", imports],
  ['packages/producer/src/', "export { a } from '../../core/src/clock.js'", imports],
  ['test/end-to-end/', "export { a } from '../../packages/core/src/clock.js'", imports],
  ['benchmarks/', "export { a } from '../packages/core/dist/clock.js'", imports],
  ['packages/aggregation/src/', "export { a } from '@shardwise/core/clock'", imports],
  ['packages/aggregation/src/', "export { a } from 'node:crypto'", imports],
  ['packages/aggregation/src/', "export { a } from 'protobufjs'", imports],
  ['packages/core/src/', "export { a } from '@shardwise/producer'", imports],
  ['packages/core/src/', "export { a } from '@shardwise/local'", imports],
  ['packages/core/src/', "import type { A } from '@aws-sdk/client-kinesis'\nexport type { A }", imports],
  ['packages/core/src/', "export { a } from 'p-retry'", imports],
  ['packages/producer/src/', "import type { A } from '@shardwise/consumer'\nexport type { A }", imports],
  ['packages/producer/src/', "export const a = await import('@shardwise/consumer')", imports],
  ['packages/producer/src/', "export { a } from '@shardwise/local'", imports],
  ['packages/producer/src/', "export type A = import('@shardwise/consumer').A", hidden],
  ['packages/producer/src/', "export const a = require('@shardwise/consumer')", hidden],
  ['packages/producer/src/', "export { a } from 'hyparquet'", undeclared],
  ['packages/consumer/src/', "import '@shardwise/producer'", imports],
  ['packages/local/src/', "export { a } from '@shardwise/core/transport'", imports],
  ['packages/local/src/', "export { a } from '@aws-sdk/client-kinesis'", imports],
  ['packages/local/src/', "export { a } from '@smithy/core'", imports],
  ['packages/local/src/', "export { a } from '@shardwise/producer'", imports],
]

/** What stays allowed: the adapters, and time and imports that break no rule. */
const accepted: readonly (readonly [file: string, code: string])[] = [
  ['packages/core/src/clock.ts', 'export const a = () => [Date.now(), performance.now(), setTimeout(() => 1, 1)]'],
  ['packages/core/src/random.ts', 'export const a = () => Math.random()'],
  ['packages/core/src/dates.ts', 'export const a = new Date(5)'],
  ['packages/core/src/transport/sdk.ts', "export { KinesisClient } from '@aws-sdk/client-kinesis'"],
  ['packages/core/src/keys.ts', "export { md5Words } from '@shardwise/aggregation/md5'"],
  ['packages/aggregation/src/inside.ts', "export { a } from './other.js'"],
  ['packages/local/src/client.test.ts', "export { KinesisClient } from '@aws-sdk/client-kinesis'"],
  ['packages/producer/src/service.test.ts', "export { startLocal } from '@shardwise/local'"],
  ['packages/cli/src/local.ts', "export { startLocal } from '@shardwise/local'"],
  ['test/end-to-end/wait.ts', 'export const a = () => setTimeout(() => 1, Date.now())'],
]

let folder: string
let complaints: Map<string, string[]>

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shardwise-lint-'))
  const write = (file: string, code: string): void => {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), `${code}\n`)
  }
  for (const path of ['biome.json', 'package.json', 'scripts/lint'])
    cpSync(join(repository, path), join(folder, path), { recursive: true })
  for (const name of ['aggregation', 'core', 'producer', 'consumer', 'local', 'cli']) {
    cpSync(join(repository, 'packages', name, 'package.json'), join(folder, 'packages', name, 'package.json'))
  }
  for (const [index, [file, code]] of refused.entries()) write(`${file}refused-${index}.ts`, code)
  for (const [file, code] of accepted) write(file, code)

  const biome = join(repository, 'node_modules/@biomejs/biome/bin/biome')
  const args = [
    biome,
    'lint',
    '--vcs-enabled=false',
    '--max-diagnostics=none',
    '--diagnostic-level=error',
    '--reporter=github',
    '.',
  ]
  const { stdout } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' })
  complaints = new Map()
  for (const [, rule, file, message] of stdout.matchAll(/^::error title=([^,]+),file=([^,]+),.*?::(.*)$/gm)) {
    const path = file!.slice(file!.indexOf('shardwise-lint-')).replace(/^[^/]+\//, '')
    complaints.set(path, [...(complaints.get(path) ?? []), `${rule}: ${message}`])
  }
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('refused', () => {
  it.each(refused.map(([file, code, complaint], index) => [`${file}refused-${index}.ts`, code, complaint] as const))(
    '%s: %s',
    (file, _, complaint) => {
      expect(complaints.get(file) ?? []).toContainEqual(expect.stringContaining(complaint))
    },
  )
})

describe('accepted', () => {
  it.each(accepted)('%s: %s', (file) => {
    expect(complaints.get(file) ?? []).toEqual([])
  })
})

it('refuses an implicit any in the types', () => {
  const file = join(folder, 'implicit-any.ts')
  writeFileSync(file, 'export const a = (x): unknown => x\n')
  const tsc = join(repository, 'node_modules/typescript/bin/tsc')
  const config = JSON.stringify({
    extends: join(repository, 'tsconfig.json'),
    compilerOptions: { types: [] },
    include: [],
    files: [file],
  })
  writeFileSync(join(folder, 'tsconfig.json'), config)
  const { stdout } = spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' })
  expect(stdout).toContain("error TS7006: Parameter 'x' implicitly has an 'any' type")
})
