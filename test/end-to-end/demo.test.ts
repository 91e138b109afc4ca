import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'

// `npm run demo` without its installer: the same program, with fewer flights.
const MAIN = fileURLToPath(new URL('../demo/main.ts', import.meta.url))

let demo: ChildProcess | undefined
afterEach(() => {
  demo?.kill('SIGKILL')
})

function startDemo(...args: string[]): { readonly lines: AsyncIterableIterator<string>; readonly exit: Promise<number | null> } {
  demo = spawn(process.execPath, ['--no-warnings', '--import', 'tsx', '-C', 'shardwise-source', MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines = createInterface({ input: demo.stdout! })[Symbol.asyncIterator]() as AsyncIterableIterator<string>
  return { lines, exit: once(demo, 'exit').then(([code]) => code as number | null) }
}

async function stderrOf(child: ChildProcess): Promise<string> {
  let text = ''
  for await (const chunk of child.stderr!) text += chunk
  return text
}

test.each([
  { way: 'polling', flights: 60_000, args: [] },
  { way: 'fan-out', flights: 30_000, args: ['--fan-out'] },
])(
  'carries flights through a split, a merge, a stopped and a killed worker, and proves it ($way)',
  async ({ way, flights, args }) => {
    const { lines, exit } = startDemo('--flights', String(flights), '--json', ...args)
    let last = ''
    for await (const line of lines) last = line
    const result = JSON.parse(last)
    expect(result).toMatchObject({
      records: flights,
      acknowledged: flights,
      delivered: flights,
      lost: 0,
      outOfOrder: 0,
      answerMatches: true,
      splits: 1,
      merges: 1,
      workersStopped: 1,
      workersKilled: 1,
    })
    expect([result.polls > 0, result.subscriptions > 0]).toEqual([way === 'polling', way === 'fan-out'])
    expect(await exit).toBe(0)
  },
)

test.each([
  ['before the first flight', 'share the shards'],
  ['with flights on their way', 'splitting'],
  ['while a killed worker is replaced', 'SIGKILL'],
])('leaves no process and no port behind when it is interrupted %s', async (_, moment) => {
  const { lines, exit } = startDemo('--flights', moment === 'SIGKILL' ? '100000' : '3000000')
  let endpoint: URL | undefined
  let workers: number[] = []
  for await (const line of lines) {
    const found = /(http:\/\/[^\s)]+)/.exec(line)
    if (found !== null) endpoint = new URL(found[1]!)
    const pids = /workers? .*\(pids? ([\d, ]+)\)/.exec(line)
    if (pids !== null) workers = pids[1]!.split(',').map(Number)
    if (line.includes(moment)) break
  }
  expect(workers).toHaveLength(2)
  const interruptedAt = performance.now()
  demo!.kill('SIGINT')
  expect(await exit).toBe(130)
  // A bound for a person's patience, far from what it takes: the records on their way live for two minutes.
  expect(performance.now() - interruptedAt).toBeLessThan(60_000)
  for (const pid of workers) expect(() => process.kill(pid, 0), `worker process ${pid}`).toThrow('ESRCH')
  await expect(once(connect(Number(endpoint!.port), endpoint!.hostname), 'connect')).rejects.toThrow('ECONNREFUSED')
})

describe('refuses what it does not understand, naming it', () => {
  test.each([
    [['--flights', 'many'], "--flights must be a whole number from 1000 to 3000000, got 'many'"],
    [['--flights', '3000001'], "got '3000001'"],
    [['--fast'], "Unknown option '--fast'"],
  ])('%j', async (args, message) => {
    const { exit } = startDemo(...args)
    const [stderr, code] = await Promise.all([stderrOf(demo!), exit])
    expect(stderr).toContain(message)
    expect(code).toBe(2)
  })
})
