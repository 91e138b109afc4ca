import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { invariantOf } from './invariants.js'
import { type PlacedEdit, type PlantedBug, placesOfBug } from './planted-bug.js'
import type { Order, Report } from './simulation-worker.js'

const path = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

/** A world takes a second or two, on a machine that does much else minutes. One that stands still for so long is in a loop without end. */
const WORLD_TIMEOUT_MS = 1_800_000

/** What became of one planted bug. */
export interface Hunt {
  readonly bug: PlantedBug
  /** Of the first world in which a promise was broken. Undefined: none was. */
  readonly violation: string | undefined
  /** The promise. Undefined: none, or the world broke down in another way. */
  readonly invariant: string | undefined
  /** Worlds that it took. */
  readonly seeds: number
  /** It was seen for what it is, and not for a failure of another kind. */
  readonly isCaught: boolean
  readonly seconds: number
}

/** Runs worlds with the bug until one breaks a promise, `most` at most. */
export async function huntBug(bug: PlantedBug, most: number, signal: AbortSignal): Promise<Hunt> {
  const began = performance.now()
  const seeds = Array.from({ length: most }, (_, i) => i + 1)
  const broken = await firstBroken(seeds, placesOfBug(bug), signal)
  const invariant = broken && invariantOf(broken.violation)
  return {
    ...{ bug, invariant, violation: broken?.violation, seeds: broken?.seed ?? most },
    isCaught: invariant !== undefined && bug.caughtBy.includes(invariant),
    seconds: Math.round((performance.now() - began) / 100) / 10,
  }
}

/** The first of these worlds in which a promise is broken, where the source is edited so. */
export async function firstBroken(
  seeds: Iterable<number>,
  edits: readonly PlacedEdit[],
  signal: AbortSignal,
): Promise<{ readonly seed: number; readonly violation: string } | undefined> {
  const child = fork(path('./simulation-worker.ts'), {
    cwd: path('../..'),
    env: {
      ...process.env,
      SHARDWISE_PLANTED: JSON.stringify(edits),
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    },
    execArgv: ['--import', path('./planted-loader.mjs'), '--import', 'tsx', '-C', 'shardwise-source'],
  })
  try {
    for (const seed of seeds) {
      if (signal.aborted) return undefined
      const violation = await world(child, seed)
      if (violation !== undefined) return { seed, violation }
    }
    return undefined
  } finally {
    child.removeAllListeners()
    // It may be in its loop.
    child.kill('SIGKILL')
  }
}

/** The first promise that is broken. */
function world(child: ChildProcess, seed: number): Promise<string | undefined> {
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
      reject(new Error(`The process ended with ${code} at seed ${seed}`))
    })
    child.send({ seed, shrinks: false } satisfies Order)
  })
}
