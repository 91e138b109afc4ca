import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, onTestFailed, test } from 'vitest'

// `npm run soak` without its installer: the same program, for seconds, with three times the faults of a long run.
const MAIN = fileURLToPath(new URL('../soak/main.ts', import.meta.url))

let soak: ChildProcess | undefined
afterEach(() => {
  soak?.kill('SIGKILL')
})

function startSoak(...args: string[]): { readonly lines: AsyncIterableIterator<string>; readonly exit: Promise<number | null> } {
  const command = ['--no-warnings', '--expose-gc', '--import', 'tsx', '-C', 'shardwise-source', MAIN, ...args]
  soak = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'pipe'] })
  const lines = createInterface({ input: soak.stdout! })[Symbol.asyncIterator]() as AsyncIterableIterator<string>
  return { lines, exit: once(soak, 'exit').then(([code]) => code as number | null) }
}

async function stderrOf(child: ChildProcess): Promise<string> {
  let text = ''
  for await (const chunk of child.stderr!) text += chunk
  return text
}

test.each([
  ['none', 'shard'],
  ['none', 'off'],
  ['perShard', 'shard'],
  ['perKey', 'key'],
])('nothing is lost, ordering %s, aggregation %s', async (ordering, aggregation) => {
  // A seed of its own each day: what CI finds, the command in its output repeats.
  const seed = String(Math.floor(Date.now() / 86_400_000))
  const { lines, exit } = startSoak(
    '--minutes',
    '0.3',
    '--ordering',
    ordering,
    '--aggregation',
    aggregation,
    '--seed',
    seed,
    '--json',
  )
  const errors = stderrOf(soak!)
  const text: string[] = []
  onTestFailed(() => console.error(text.join('\n')))
  for await (const line of lines) text.push(line)
  expect(await exit, [...text, await errors].join('\n')).toBe(0)
  const result = JSON.parse(text.at(-1) ?? '')
  const none = { count: 0, examples: [] }
  expect(result).toMatchObject({ passed: true, lost: none, misplaced: none, denied: none, unsettled: none, settledTwice: none })
  // It is no proof where little happened.
  expect(result.splits + result.merges).toBe(4)
  expect(result.retries).toBeGreaterThan(10)
  expect(result.faults.outage).toBeGreaterThan(0)
})

test('leaves no process and no port behind when it is interrupted', async () => {
  const { lines, exit } = startSoak('--minutes', '2')
  let endpoint: URL | undefined
  let service = 0
  for await (const line of lines) {
    const found = /(http:\/\/[^\s),]+), pid (\d+)/.exec(line)
    if (found !== null) [endpoint, service] = [new URL(found[1]!), Number(found[2])]
    if (line.includes('offered')) break
  }
  soak!.kill('SIGINT')
  expect(await exit).toBe(130)
  expect(() => process.kill(service, 0)).toThrow('ESRCH')
  await expect(once(connect(Number(endpoint!.port), endpoint!.hostname), 'connect')).rejects.toThrow('ECONNREFUSED')
})

describe('refuses what it does not understand, naming it', () => {
  test.each([
    [['--minutes', '0'], "--minutes must be a number from 0.25 to 240, got '0'"],
    [['--minutes', ''], "--minutes must be a number from 0.25 to 240, got ''"],
    [['--shards', '1.5'], "--shards must be a whole number from 1 to 16, got '1.5'"],
    [['--ordering', 'all'], "--ordering must be one of none, perShard, perKey, got 'all'"],
    [['--fast'], "Unknown option '--fast'"],
  ])('%j', async (args, message) => {
    const { exit } = startSoak(...args)
    const [stderr, code] = await Promise.all([stderrOf(soak!), exit])
    expect(stderr).toContain(message)
    expect(code).toBe(2)
  })
})
