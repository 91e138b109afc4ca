/** A process that runs one world after the other, as it is told. */
import { shrink } from './shrink.js'
import { type SimulationResult, simulate } from './simulation.js'

export interface Order {
  readonly seed: number
  /** Finds out which disturbances a failing world needs. Default true. */
  readonly shrinks?: boolean
}

export interface Report extends SimulationResult {
  /** Of a world with a violation: the disturbances that it needs. */
  readonly only: readonly number[] | undefined
}

const uncaught: string[] = []
for (const kind of ['unhandledRejection', 'uncaughtException'] as const) {
  process.on(kind, (error: unknown) => uncaught.push(`${kind}: ${error instanceof Error ? error.stack : String(error)}`))
}

process.on('message', async ({ seed, shrinks = true }: Order) => {
  const result = await simulate({ seed })
  // Whether a rejection is handled is known a turn of the event loop later.
  await new Promise((resolve) => setImmediate(resolve))
  const violations = [...result.violations, ...uncaught.splice(0)]
  const only = violations.length > 0 && shrinks ? await shrink({ ...result, violations }) : undefined
  uncaught.length = 0
  process.send!({ ...result, violations, only } satisfies Report)
})
