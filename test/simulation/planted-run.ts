import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type PlantedBug, placesOfBug } from './planted-bug.js'
import type { Order, Report } from './simulation-worker.js'

const path = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

/** A world takes a second or two. One that stands still for so long is in a loop without end. */
const WORLD_TIMEOUT_MS = 60_000

/** What became of one planted bug. */
export interface Hunt {
  readonly bug: PlantedBug
  /** Of the first world in which a promise was broken. Undefined: none was. */
  readonly violation: string | undefined
  /** Worlds that it took. */
  readonly seeds: number
  /** It was seen for what it is, and not for a failure of another kind. */
  readonly isCaught: boolean
  readonly seconds: number
}

/** Runs worlds with the bug until one breaks a promise, `seeds` at most. */
export async function huntBug(bug: PlantedBug, seeds: number, signal?: AbortSignal): Promise<Hunt> {
  const began = performance.now()
  const child = fork(path('./simulation-worker.ts'), {
    cwd: path('../..'),
    env: {
      ...process.env,
      SHARDWISE_PLANTED: JSON.stringify(placesOfBug(bug)),
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    },
    execArgv: ['--import', path('./planted-loader.mjs'), '--import', 'tsx', '-C', 'shardwise-source'],
  })
  const ended = (violation: string | undefined, seed: number): Hunt => ({
    ...{ bug, violation, seeds: seed, seconds: Math.round((performance.now() - began) / 100) / 10 },
    isCaught: violation !== undefined && bug.caughtAs.test(violation),
  })
  try {
    for (let seed = 1; seed <= seeds && signal?.aborted !== true; seed++) {
      const violation = await worldWithBug(bug, child, seed)
      if (violation !== undefined) return ended(violation, seed)
    }
    return ended(undefined, seeds)
  } finally {
    child.removeAllListeners()
    // It may be in its loop.
    child.kill('SIGKILL')
  }
}

/** The first promise that is broken. */
function worldWithBug(bug: PlantedBug, child: ChildProcess, seed: number): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const end = (violation: string | undefined): void => {
      clearTimeout(timer)
      resolve(violation)
    }
    const timer = setTimeout(() => end(`the world stands still: it has not ended in ${WORLD_TIMEOUT_MS} ms`), WORLD_TIMEOUT_MS)
    child.removeAllListeners()
    child.once('message', (message) => end((message as Report).violations[0]))
    child.once('exit', (code) => {
      clearTimeout(timer)
      reject(new Error(`The process with '${bug.name}' ended with ${code} at seed ${seed}`))
    })
    child.send({ seed, shrinks: false } satisfies Order)
  })
}
