import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { type AddressInfo, createServer } from 'node:net'
import { dirname } from 'node:path'
import { sleep, systemClock } from '@shardwise/core/clock'

/** npm `kinesis-local` (kinesis-mock), which is a process of its own, with its plain-text port open. */
export interface KinesisLocalProcess {
  readonly endpoint: string
  stop(): Promise<void>
}

const ATTEMPTS = 3
const START_MS = 30_000

/** Its ports are set by number only, so one that was free may be taken when it starts: then it is tried again with others. */
export async function startKinesisLocal(): Promise<KinesisLocalProcess> {
  for (let attempt = 1; ; attempt++) {
    const [plain, tls] = await freePorts()
    const child = launch(plain, tls)
    const stderr: string[] = []
    child.stderr!.on('data', (chunk) => stderr.push(String(chunk)))
    if (await answers(`http://127.0.0.1:${plain}/`, child)) {
      return { endpoint: `http://127.0.0.1:${plain}`, stop: () => end(child) }
    }
    await end(child)
    if (attempt === ATTEMPTS)
      throw new Error(`kinesis-local did not start in ${ATTEMPTS} attempts: ${stderr.join('').slice(0, 2000)}`)
  }
}

function launch(plainPort: number, tlsPort: number): ChildProcess {
  const folder = dirname(createRequire(import.meta.url).resolve('kinesis-local/package.json'))
  const durations = [
    'CREATE_STREAM',
    'REGISTER_STREAM_CONSUMER',
    'DELETE_STREAM',
    'MERGE_SHARDS',
    'SPLIT_SHARD',
    'UPDATE_SHARD_COUNT',
    'UPDATE_STREAM_MODE',
  ]
  // Of the encryption durations each sets another's, so all get the same.
  const crossed = ['START_STREAM_ENCRYPTION', 'STOP_STREAM_ENCRYPTION', 'DEREGISTER_STREAM_CONSUMER']
  return spawn(process.execPath, ['--max-semi-space-size=64', 'main.js'], {
    // It looks for its certificate in the working directory.
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      ...Object.fromEntries(durations.map((name) => [`${name}_DURATION`, '200ms'])),
      ...Object.fromEntries(crossed.map((name) => [`${name}_DURATION`, '200ms'])),
      KINESIS_MOCK_PLAIN_PORT: String(plainPort),
      KINESIS_MOCK_TLS_PORT: String(tlsPort),
      LOG_LEVEL: 'ERROR',
    },
  })
}

async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()] as const
  const ports: number[] = []
  for (const server of servers) {
    await once(server.listen(0, '127.0.0.1'), 'listening')
    ports.push((server.address() as AddressInfo).port)
  }
  for (const server of servers) await once(server.close(), 'close')
  return [ports[0]!, ports[1]!]
}

/** Whether it comes to answer HTTP. It says nothing of itself when it is ready, so it must be asked. */
async function answers(url: string, child: ChildProcess): Promise<boolean> {
  const deadline = systemClock.now() + START_MS
  while (child.exitCode === null && systemClock.now() < deadline) {
    const answered = await fetch(url).then(
      () => true,
      () => false,
    )
    if (answered) return true
    await sleep(systemClock, 50)
  }
  return false
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}
