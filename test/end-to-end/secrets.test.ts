import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { expect, it } from 'vitest'
import { SECRETS } from './secrets-process.js'

/** A process of its own, so that all that is printed is looked at: by the SDK, by Node's warnings, by uncaught errors. */
it('credentials and keys appear nowhere: not in output, logs, events, errors, snapshots or inspections, whatever fails', () => {
  const script = fileURLToPath(new URL('./secrets-process.ts', import.meta.url))
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--import', 'tsx', '-C', 'shardwise-source', script], {
    encoding: 'utf8',
    timeout: 500_000,
    maxBuffer: 256 * 1024 * 1024,
  })
  expect(status, stderr.slice(-2000)).toBe(0)
  const report: { texts: number; failures: Record<string, number>; secretsShown: string[]; control: string } = JSON.parse(
    stdout.trim().split('\n').at(-1)!,
  )
  expect(report.secretsShown).toEqual([])
  // Each kind of failure has really happened, and something was searched.
  for (const [kind, count] of Object.entries(report.failures)) expect(count, kind).toBeGreaterThan(0)
  expect(report.texts).toBeGreaterThan(100)
  // The search finds what is there to be found.
  expect(report.control).toBe('found')
  for (const secret of SECRETS) {
    expect(stdout.includes(secret), inspect(secret)).toBe(false)
    expect(stderr.includes(secret), inspect(secret)).toBe(false)
  }
})
