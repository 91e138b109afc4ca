import type { ChaosOptions } from './chaos-options.js'
import { runAll } from './run-all.js'

export interface ScenarioResult {
  readonly passed: boolean
  readonly findings: readonly string[]
}

export async function runScenario(options: ChaosOptions, interrupted: AbortSignal): Promise<ScenarioResult> {
  return runAll(options, interrupted)
}
