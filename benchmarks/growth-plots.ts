import { type LogPlot, logPlot, type Series } from './log-plot.js'
import type { Recorded } from './recorded-results.js'
import { median } from './rounds.js'

interface Plot extends Omit<LogPlot, 'series' | 'description'> {
  /** File of docs/plots, without its ending. */
  readonly file: string
  readonly series: readonly { readonly name: string; readonly benchmark: string }[]
  /** What is drawn of what was measured. */
  readonly value?: (measured: number, at: number) => number
}

const count = (value: number): string => value.toLocaleString('en-US')
const time = (ns: number): string =>
  ns < 1000 ? `${rounded(ns)} ns` : ns < 1e6 ? `${rounded(ns / 1e3)} µs` : `${rounded(ns / 1e6)} ms`
const size = (bytes: number): string =>
  bytes < 1024 ? `${bytes} B` : bytes < 1024 ** 2 ? `${bytes / 1024} KiB` : `${bytes / 1024 ** 2} MiB`

function rounded(value: number): string {
  return String(Number(value.toPrecision(2)))
}

const both = (what: string) => [
  { name: 'producer', benchmark: `growth-producer-${what}` },
  { name: 'consumer', benchmark: `growth-consumer-${what}` },
]
const perRecord = { label: 'processor time for a user record (median; bars: least and most of the rounds)', format: time }

const PLOTS: readonly Plot[] = [
  {
    file: 'growth-shards',
    title: 'Records of 100 B, by shards of the stream',
    x: { label: 'shards', format: count },
    y: perRecord,
    series: both('shards'),
  },
  {
    file: 'growth-streams',
    title: 'Records of 100 B, 256 shards in all, by streams',
    x: { label: 'streams in one process', format: count },
    y: perRecord,
    series: both('streams'),
  },
  {
    file: 'growth-bytes',
    title: 'Four shards, by size of the record',
    x: { label: 'bytes of a record', format: size },
    y: perRecord,
    series: both('bytes'),
    value: (nsPerByte, at) => nsPerByte * at,
  },
  {
    file: 'growth-heap',
    title: 'Heap for a shard, idle, by shards of the stream',
    x: { label: 'shards', format: count },
    y: { label: 'heap in use after the start, divided by the shards', format: (bytes) => `${rounded(bytes / 1000)} KB` },
    series: both('shards-heap'),
  },
]

/** By file: those whose results are all there. */
export function growthPlots(results: ReadonlyMap<string, Recorded>): Map<string, string> {
  const drawn = new Map<string, string>()
  for (const { file, value = (measured: number): number => measured, series, ...plot } of PLOTS) {
    if (!series.every(({ benchmark }) => results.has(benchmark))) continue
    const lines = series.map(({ name, benchmark }): Series => {
      const rounds = Object.entries(results.get(benchmark)!.measurement.nsByRound)
      const points = rounds.map(([label, ns]) => {
        const x = Number.parseInt(label.replaceAll(',', ''), 10)
        const values = ns.map((each) => Math.max(1, value(each, x)))
        return { x, y: median(values), least: Math.min(...values), most: Math.max(...values) }
      })
      return { name, points: points.sort((a, b) => a.x - b.x) }
    })
    const description = lines
      .map(({ name, points }) => `${name}: ${points.map(({ x, y }) => `${plot.x.format(x)} ${plot.y.format(y)}`).join(', ')}`)
      .join('; ')
    drawn.set(file, logPlot({ ...plot, description, series: lines }))
  }
  return drawn
}
