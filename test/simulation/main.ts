/** `npm run simulate`: many worlds, each of a seed, or one of them in detail. */
import {
  commandToGoOn,
  commandToReplay,
  parseSimulateOptions,
  type SimulateOptions,
  USAGE,
  UsageError,
} from './simulate-options.js'
import type { Report } from './simulation-worker.js'

const EXIT_USAGE = 2
const EXIT_INTERRUPTED = 130
const PROGRESS_EVERY_MS = 1_000

try {
  const options = parseSimulateOptions(process.argv.slice(2))
  if (options === 'help') process.stdout.write(USAGE)
  else process.exitCode = await run(options)
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\n\n${USAGE}`)
  process.exitCode = EXIT_USAGE
}

async function run(options: SimulateOptions): Promise<number> {
  const { plantedBugs, jobs, json, trace, only } = options
  if (plantedBugs === undefined) return trace || only !== undefined ? showOne(options) : runAll(options)
  const { runPlantedBugs } = await import('./planted-batch.js')
  return runPlantedBugs({ part: plantedBugs === '' ? undefined : plantedBugs, jobs, json })
}

async function showOne({ firstSeed: seed, only, trace, json }: SimulateOptions): Promise<number> {
  const { simulate } = await import('./simulation.js')
  const line = (text: string): void => void process.stdout.write(`${text}\n`)
  const result = await simulate({ seed, only: only && new Set(only), trace: trace ? line : undefined })
  for (const violation of result.violations) process.stderr.write(`${violation}\n`)
  if (json) process.stdout.write(`${JSON.stringify({ passed: result.violations.length === 0, ...result })}\n`)
  return result.violations.length === 0 ? 0 : 1
}

async function runAll({ firstSeed, seeds, jobs, json }: SimulateOptions): Promise<number> {
  const { runSimulations } = await import('./simulations.js')
  const interruption = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interruption.abort())
  const began = performance.now()
  const total = { seeds: 0, virtualSeconds: 0, puts: 0, acknowledged: 0, handled: 0, disturbances: 0, moves: 0, steps: 0 }
  const failures: Pick<Report, 'seed' | 'violations' | 'only'>[] = []
  let toldAt = 0
  const seconds = (): number => Math.round((performance.now() - began) / 100) / 10
  const progress = (): void => {
    toldAt = performance.now()
    const rate = (total.seeds / Math.max(seconds(), 0.1)).toFixed(1)
    const line = `${total.seeds} of ${seeds} worlds, ${failures.length} failed, ${rate} a second, ${seconds()} s`
    process.stderr.write(process.stderr.isTTY ? `\r${line} ` : `${line}\n`)
  }
  const reached = await runSimulations({
    ...{ firstSeed, seeds, jobs, signal: interruption.signal },
    ended: (report) => {
      total.seeds++
      total.virtualSeconds += report.virtualMs / 1_000
      for (const key of ['puts', 'acknowledged', 'handled', 'disturbances', 'moves', 'steps'] as const) total[key] += report[key]
      if (report.violations.length > 0) {
        const { seed, violations, only } = report
        failures.push({ seed, violations, only })
        process.stderr.write(`\nseed ${seed}: ${violations[0]}\n  ${commandToReplay(seed, only)}\n`)
      }
      if (performance.now() - toldAt > (process.stderr.isTTY ? PROGRESS_EVERY_MS : PROGRESS_EVERY_MS * 10)) progress()
    },
  })
  progress()
  if (process.stderr.isTTY) process.stderr.write('\n')
  if (interruption.signal.aborted) {
    const rest = { firstSeed: reached, seeds: firstSeed + seeds - reached, jobs, json }
    process.stderr.write(`Interrupted. To go on: ${commandToGoOn(rest)}\n`)
  }
  const passed = failures.length === 0 && !interruption.signal.aborted
  total.virtualSeconds = Math.round(total.virtualSeconds)
  if (json) process.stdout.write(`${JSON.stringify({ passed, firstSeed, ...total, seconds: seconds(), failures })}\n`)
  else if (passed)
    process.stdout.write(
      `${total.seeds} worlds, ${total.virtualSeconds} virtual seconds, ${total.handled} records handled: all promises kept\n`,
    )
  return interruption.signal.aborted ? EXIT_INTERRUPTED : passed ? 0 : 1
}
