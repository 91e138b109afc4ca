import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Order, Report } from './simulation-worker.js'

export interface SimulationsOptions {
  readonly firstSeed: number
  readonly seeds: number
  readonly jobs: number
  readonly signal: AbortSignal
  /** After each world, in the order in which they end. */
  readonly ended: (report: Report) => void
}

const path = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

/** Runs worlds side by side in processes of their own. Resolves to the seed up to which all have ended, exclusive. */
export async function runSimulations({ firstSeed, seeds, jobs, signal, ended }: SimulationsOptions): Promise<number> {
  const end = firstSeed + seeds
  let next = firstSeed
  const underWay = new Set<number>()
  const work = async (): Promise<void> => {
    const child = fork(path('./simulation-worker.ts'), {
      cwd: path('../..'),
      execArgv: ['--import', 'tsx', '-C', 'shardwise-source', '--import', path('./plain-names.mjs')],
      env: { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
    })
    try {
      while (next < end && !signal.aborted) {
        const seed = next++
        underWay.add(seed)
        const report = await ordered(child, { seed }, signal)
        if (report === undefined) return
        underWay.delete(seed)
        ended(report)
      }
    } finally {
      child.disconnect()
    }
  }
  await Promise.all(Array.from({ length: Math.min(jobs, seeds) }, work))
  return Math.min(next, ...underWay)
}

function ordered(child: ChildProcess, order: Order, signal: AbortSignal): Promise<Report | undefined> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      child.removeAllListeners()
      signal.removeEventListener('abort', stop)
      act()
    }
    const stop = (): void =>
      settle(() => {
        child.kill()
        resolve(undefined)
      })
    child.once('message', (report: Report) => settle(() => resolve(report)))
    child.once('exit', (code, killedBy) =>
      settle(() => reject(new Error(`The process with seed ${order.seed} ended with ${killedBy ?? code}`))),
    )
    signal.addEventListener('abort', stop)
    child.send(order)
  })
}
