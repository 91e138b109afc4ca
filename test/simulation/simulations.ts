import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { brokenWorld } from './broken-world.js'
import type { Beat, Order, Report } from './simulation-worker.js'

export interface SimulationsOptions {
  readonly firstSeed: number
  readonly seeds: number
  readonly jobs: number
  readonly signal: AbortSignal
  /** After each world, in the order in which they end. */
  readonly ended: (report: Report) => void
  /** A world that gets no further for so long, in real milliseconds, has failed. Default: a minute. */
  readonly patienceMs?: number
  /** Then another one goes on. Default: 500. */
  readonly worldsAProcess?: number
  /** What the processes run. Default: `simulation-worker.ts`. */
  readonly worker?: URL
}

const WORKER = new URL('./simulation-worker.ts', import.meta.url)
const PATIENCE_MS = 60_000
/** Node keeps composite signals that have listeners, and processes that a world kills leave theirs: after 7,000 worlds one was out of memory. */
const WORLDS_A_PROCESS = 500
const path = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

/**
 * Runs worlds side by side in processes of their own. Resolves to the seed up to which all have ended, exclusive. A process that dies, or whose
 * world stands still, has failed that world only: another one goes on. Rejects when a process dies before it has any.
 */
export async function runSimulations(options: SimulationsOptions): Promise<number> {
  const { firstSeed, seeds, jobs, signal, ended, worker = WORKER } = options
  const { patienceMs = PATIENCE_MS, worldsAProcess = WORLDS_A_PROCESS } = options
  const end = firstSeed + seeds
  let next = firstSeed
  const underWay = new Set<number>()
  const work = async (): Promise<void> => {
    let child: ChildProcess | undefined
    let worlds = 0
    try {
      while (next < end && !signal.aborted) {
        child ??= started(worker)
        const seed = next++
        underWay.add(seed)
        const outcome = await ordered(child, { seed, beats: true }, signal, patienceMs)
        if (outcome === undefined) return
        underWay.delete(seed)
        worlds++
        if (typeof outcome === 'string' || worlds % worldsAProcess === 0) {
          child.kill('SIGKILL')
          child = undefined
        }
        ended(typeof outcome === 'string' ? brokenWorld(seed, outcome) : outcome)
      }
    } finally {
      if (child?.connected === true) child.disconnect()
    }
  }
  await Promise.all(Array.from({ length: Math.min(jobs, seeds) }, work))
  return Math.min(next, ...underWay)
}

function started(worker: URL): ChildProcess {
  return fork(fileURLToPath(worker), {
    cwd: path('../..'),
    execArgv: ['--import', 'tsx', '-C', 'shardwise-source', '--import', path('../support/plain-names.mjs')],
    env: { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
  })
}

/** Resolves to a sentence when there is no report, and to nothing when it was interrupted. */
function ordered(
  child: ChildProcess,
  order: Order,
  signal: AbortSignal,
  patienceMs: number,
): Promise<Report | string | undefined> {
  return new Promise((resolve, reject) => {
    let patience: NodeJS.Timeout | undefined
    const settle = (act: () => void): void => {
      clearTimeout(patience)
      child.removeAllListeners()
      signal.removeEventListener('abort', stop)
      act()
    }
    const stop = (): void =>
      settle(() => {
        child.kill()
        resolve(undefined)
      })
    const died = (how: unknown): void =>
      settle(() => {
        const what = `the process of this world has ended: ${how}`
        // It has not even begun: no other one will.
        if (patience === undefined) reject(new Error(`Seed ${order.seed}: ${what}`))
        else resolve(what)
      })
    child.on('message', (message: Beat | Report) => {
      if (!('beat' in message)) return settle(() => resolve(message))
      clearTimeout(patience)
      patience = setTimeout(
        () => settle(() => resolve(`this world stands still: no step of it in ${patienceMs} ms of real time`)),
        patienceMs,
      )
    })
    child.once('exit', (code, killedBy) => died(killedBy ?? `exit code ${code}`))
    child.once('error', died)
    signal.addEventListener('abort', stop)
    child.send(order, (error) => error !== null && died(error))
  })
}
