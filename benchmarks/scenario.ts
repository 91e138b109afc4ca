import type { Elsewhere } from './elsewhere.js'
import type { Measurement } from './rounds.js'

/** What a scenario has found: `report` is for a person, above the table. */
export interface Outcome {
  readonly measurements: readonly Measurement[]
  readonly report: string
}

/** A benchmark with a course of its own, which is no function to be called again and again. */
export interface Scenario {
  /** It measures how long something takes, not what it costs: processor time does not say that. */
  readonly ofWallClock: boolean
  /** It can be run against another Kinesis than one of its own. */
  readonly anywhere?: boolean
  /** Throws WrongResult. `elsewhere`: only where it can be run anywhere. */
  run(rounds: number, progress: (step: string) => void, elsewhere?: Elsewhere): Promise<Outcome>
}

/** By name. */
export type Scenarios = Readonly<Record<string, Scenario>>
