import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'

// `npm run chaos` without its installer: the same program, for minutes.
const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))
/** A seed of its own each day: what CI finds, the command in its output repeats. */
const SEED = process.env.SHARDWISE_SEED ?? String(Math.floor(Date.now() / 86_400_000))

const running = new Set<ChildProcess>()
afterAll(() => {
  for (const child of running) child.kill('SIGKILL')
})

function start(...args: string[]): ChildProcess {
  const command = ['--no-warnings', '--import', 'tsx', '-C', 'shardwise-source', MAIN, ...args]
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  return child
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += chunk
  return text
}

/** What the last line says, when the run has passed. */
async function chaos(...args: string[]): Promise<Record<string, never>> {
  const child = start(...args, '--seed', SEED, '--json')
  const [text, errors, [code]] = await Promise.all([textOf(child.stdout!), textOf(child.stderr!), once(child, 'exit')])
  expect(code, `${text}\n${errors}`).toBe(0)
  return JSON.parse(text.trimEnd().split('\n').at(-1)!)
}

const WELL = {
  passed: true,
  lost: 0,
  outOfOrder: 0,
  unexplainedDuplicates: 0,
  foreign: 0,
  denied: 0,
  unsettled: 0,
  behindCheckpoint: 0,
  splitOwnership: 0,
}

let outages: Promise<unknown> = Promise.resolve()

/** The outages run one after the other, beside the long run: all of them wait more than they work. */
function outage(...args: string[]): ReturnType<typeof chaos> {
  const result = outages.then(() => chaos(...args))
  outages = result.catch(() => {})
  return result
}

describe.concurrent('real processes, real sockets', { timeout: 400_000 }, () => {
  test('deaths, stops, pauses, deploys, reshards, restarts and a bad network, drawn by lot, for two minutes: nothing is lost, order is kept, and what comes twice has a cause', async () => {
    const result = await chaos('--minutes', '2')
    // That everything happened to it, and at which load, is a condition of its own to pass (evidence.ts).
    expect(result).toMatchObject({ ...WELL, failed: 0 })
    for (const count of ['acknowledged', 'delivered', 'kills', 'pauses', 'reshards', 'restarts', 'deploys', 'seconds'])
      expect(result[count], count).toBeGreaterThan(0)
  })

  test('Kinesis away at full load: memory is bounded, nothing is lost that has time enough, there is no storm of retries, and records flow again within seconds', async () => {
    const result = await outage('--scenario', 'kinesis-down', '--minutes', '0.4')
    expect(result).toMatchObject({ ...WELL, failedPatient: 0, failedEarly: 0, storm: false })
    // Those that have no time enough.
    expect(result.failed).toBeGreaterThan(100)
  })

  test('the lease table away for all workers: nobody handles in doubt, nobody raids its peers afterwards, nothing is lost or repeated', async () => {
    const result = await outage('--scenario', 'dynamodb-down', '--minutes', '0.4')
    expect(result).toMatchObject({ ...WELL, callsInDoubt: 0, movesAfter: 0, duplicates: 0, storm: false })
  })
})

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test.each(['SIGINT', 'SIGKILL'] as const)('leaves no process behind after %s', async (signal) => {
  const child = start('--minutes', '1', '--seed', '1')
  const pids: number[] = []
  for await (const line of createInterface({ input: child.stdout! })) {
    pids.push(...[...line.matchAll(/pid (\d+)/g)].map(([, pid]) => Number(pid)))
    // Both services and the workers, some of which are starting.
    if (pids.length >= 6) break
  }
  child.kill(signal)
  const [code] = await once(child, 'exit')
  expect(code).toBe(signal === 'SIGINT' ? 130 : null)
  await expect.poll(() => pids.filter(isThere), { timeout: 20_000 }).toEqual([])
})

test('refuses what it does not understand, and says what it takes', async () => {
  const child = start('--fast')
  const [stderr, [code]] = await Promise.all([textOf(child.stderr!), once(child, 'exit')])
  expect(stderr).toMatch(/Unknown option '--fast'.*npm run chaos -- /s)
  expect(code).toBe(2)
})
