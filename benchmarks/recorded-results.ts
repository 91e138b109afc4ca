import { existsSync, readdirSync, readFileSync } from 'node:fs'
import type { Measurement } from './rounds.js'

/** One run of `npm run bench -- --json`, as its file keeps it. */
export interface RecordedRun {
  readonly startedAt: string
  readonly machine: { readonly node: string; readonly cpu: string; readonly cores: number; readonly load: number }
  readonly rounds: number
  readonly timer: 'cpu' | 'wall'
  /** Of another Kinesis, where one was given. */
  readonly endpoint?: string
  readonly measurements: readonly Measurement[]
}

export interface Recorded {
  readonly run: RecordedRun
  readonly measurement: Measurement
}

/** By name of the benchmark: the newest, but for those against another Kinesis, which have other loads. */
export function newestResults(directory: URL): Map<string, Recorded> {
  const newest = new Map<string, Recorded>()
  const names = existsSync(directory) ? readdirSync(directory).filter((name) => name.endsWith('.json')) : []
  // Names are times.
  for (const name of names.sort()) {
    const run = JSON.parse(readFileSync(new URL(name, directory), 'utf8')) as RecordedRun
    if (run.endpoint !== undefined) continue
    for (const measurement of run.measurements) newest.set(measurement.name, { run, measurement })
  }
  return newest
}
