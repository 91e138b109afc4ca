import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { sleep, systemClock } from '@shardwise/core/clock'
import { type LocalServices, startLocal } from '@shardwise/local'
import { afterEach, beforeEach, expect, test } from 'vitest'

const SCRIPT = fileURLToPath(new URL('short-lived-process.ts', import.meta.url))
const STREAMS = ['flights', 'gates'] as const

let local: LocalServices
let child: ChildProcess | undefined

beforeEach(async () => {
  local = await startLocal({ dynamodb: false, transitionMs: { create: 0 } })
  for (const StreamName of STREAMS) local.model.call('CreateStream', { StreamName, ShardCount: 1 })
})

afterEach(async () => {
  if (child?.exitCode === null) child.kill('SIGKILL')
  await local.stop()
})

interface Run {
  readonly child: ChildProcess
  /** The next line of its output. */
  line(): Promise<string | undefined>
  /** Its exit code, and the milliseconds it lived on after `line` was last answered. */
  readonly exit: Promise<readonly [code: number | null, afterMs: number]>
}

function run(way: 'script' | 'start' | 'handler'): Run {
  const args = ['--import', 'tsx', '-C', 'shardwise-source', SCRIPT, local.kinesisEndpoint, way]
  const started = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  child = started
  const lines = createInterface({ input: started.stdout })[Symbol.asyncIterator]()
  let answeredAt = 0
  return {
    child: started,
    line: async () => {
      const { value } = (await lines.next()) as IteratorResult<string, undefined>
      answeredAt = performance.now()
      return value
    },
    exit: once(started, 'exit').then(([code]) => [code as number | null, performance.now() - answeredAt] as const),
  }
}

function stored(): string[] {
  return STREAMS.flatMap((StreamName) => {
    const { ShardIterator } = local.model.call('GetShardIterator', {
      ...{ StreamName, ShardId: 'shardId-000000000000', ShardIteratorType: 'TRIM_HORIZON' },
    }) as { ShardIterator: string }
    const { Records } = local.model.call('GetRecords', { ShardIterator }) as { Records: { Data: Uint8Array }[] }
    return Records.map(({ Data }) => `${StreamName} ${Buffer.from(Data).toString()}`)
  })
}

/** Much less than any wait that could be left over: the linger, the time to live, a connection's and a script's request. */
const MOMENTS_MS = 30_000

test.each([
  ['script', 'settled, 0 failed', ['flights a', 'flights c', 'gates b']],
  ['start', 'started', []],
] as const)('%s: nothing keeps a process alive that has nothing buffered, though nobody closes', async (way, said, records) => {
  const { line, exit } = run(way)
  expect(await line()).toBe(said)
  const [code, afterMs] = await exit
  expect([code, stored()]).toEqual([0, records])
  expect(afterMs).toBeLessThan(MOMENTS_MS)
})

test('a handler that flushes has delivered when it returns, is called again, and ends with its input', async () => {
  const { child, line, exit } = run('handler')
  for (const call of ['a b', 'c', 'd e']) {
    child.stdin!.write(`${call}\n`)
    expect(await line()).toBe(`settled ${call}, 0 failed`)
  }
  expect(stored().sort()).toEqual(['flights a', 'flights c', 'flights d', 'gates b', 'gates e'])
  child.stdin!.end()
  const [code, afterMs] = await exit
  expect(code).toBe(0)
  expect(afterMs).toBeLessThan(MOMENTS_MS)
})

test.skipIf(process.platform === 'win32')('a handler that is frozen with a request under way loses nothing', async () => {
  const { child, line } = run('handler')
  child.stdin!.write('a b\n')
  expect(await line()).toBe('settled a b, 0 failed')
  let thaw = (): void => {}
  const thawed = new Promise<void>((resolve) => {
    thaw = resolve
  })
  const arrived = new Promise<void>((resolve) => {
    const when = (): boolean => {
      child.kill('SIGSTOP')
      resolve()
      return true
    }
    local.faults.on('PutRecords', { hold: thawed, phase: 'before-work', when })
  })
  child.stdin!.write('c\n')
  await arrived
  // Longer than requestTimeoutMs. The answer is there when it goes on, and yet too late.
  await sleep(systemClock, 4500)
  thaw()
  child.kill('SIGCONT')
  expect(await line()).toBe('settled c, 0 failed')
  child.stdin!.end()
  expect(new Set(stored())).toEqual(new Set(['flights a', 'gates b', 'flights c']))
})
