import type { ChaosOptions } from './chaos-options.js'
import { runAll } from './run-all.js'
import { runDynamoDbDown } from './run-dynamodb-down.js'
import { runKinesisDown } from './run-kinesis-down.js'

export interface ScenarioResult {
  readonly passed: boolean
  readonly findings: readonly string[]
}

export function runScenario(options: ChaosOptions, interrupted: AbortSignal): Promise<ScenarioResult> {
  if (options.scenario === 'kinesis-down') return runKinesisDown(options, interrupted)
  if (options.scenario === 'dynamodb-down') return runDynamoDbDown(options, interrupted)
  return runAll(options, interrupted)
}
