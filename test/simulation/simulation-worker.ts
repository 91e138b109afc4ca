/** A process that runs one world after the other, as it is told. */
import { brokenWorld } from './broken-world.js'
import { shrink } from './shrink.js'
import { type SimulationResult, simulate } from './simulation.js'

export interface Order {
  readonly seed: number
  /** Finds out which disturbances a failing world needs. Default true. */
  readonly shrinks?: boolean
  /** Says when it begins, and again and again while time passes in its worlds. Default: only reports. */
  readonly beats?: boolean
}

export interface Beat {
  /** The seed. */
  readonly beat: number
}

export interface Report extends SimulationResult {
  /** Of a world with a violation: the disturbances that it needs. */
  readonly only: readonly number[] | undefined
}

/** Between two beats, real milliseconds. */
const BEATS_EVERY_MS = 1_000

const uncaught: string[] = []
for (const kind of ['unhandledRejection', 'uncaughtException'] as const) {
  process.on(kind, (error: unknown) => uncaught.push(`${kind}: ${error instanceof Error ? error.stack : String(error)}`))
}

process.on('message', async ({ seed, shrinks = true, beats = false }: Order) => {
  let beatAt = Number.NEGATIVE_INFINITY
  const looked = (): void => {
    if (!beats || performance.now() - beatAt < BEATS_EVERY_MS) return
    beatAt = performance.now()
    process.send!({ beat: seed } satisfies Beat)
  }
  looked()
  const report = await run(seed, shrinks, looked).catch((error: Error) =>
    brokenWorld(seed, `this world breaks down: ${error.stack}`),
  )
  uncaught.length = 0
  process.send!(report)
})

async function run(seed: number, shrinks: boolean, looked: () => void): Promise<Report> {
  const result = await simulate({ seed, looked })
  // Whether a rejection is handled is known a turn of the event loop later.
  await new Promise((resolve) => setImmediate(resolve))
  const violations = [...result.violations, ...uncaught.splice(0)]
  const failed = violations.length > 0 && shrinks
  const only = failed ? await shrink({ ...result, violations }, (options) => simulate({ ...options, looked })) : undefined
  return { ...result, violations, only }
}
