import { type LatencyLoad, type LatencyTurn, quantileOf, RECORD_BYTES } from './latency-turn.js'
import { median } from './rounds.js'

/** Upper edges of the histogram's bars, in milliseconds. */
const EDGES = [2, 5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200, 300, 500, 1000]
const BAR_WIDTH = 30

interface Contestant {
  readonly name: string
  readonly turns: readonly LatencyTurn[]
}

/** Where the time went, and a histogram of all rounds. Fan-out first. */
export function latencyReport(name: string, load: LatencyLoad, contestants: readonly Contestant[]): string {
  const { shards, perSecond, lastsMs, lingerMs } = load
  return `${name}: ${shards} ${shards === 1 ? 'shard' : 'shards'}, each with ${perSecond} records of ${RECORD_BYTES.toLocaleString('en-US')} bytes a second, lingerMs ${lingerMs}, ${(lastsMs / 1000).toFixed(0)} s a round
${parts(contestants)}
${histogram(contestants)}`
}

function parts(contestants: readonly Contestant[]): string {
  const of = (turns: readonly LatencyTurn[], values: (turn: LatencyTurn) => Float64Array, quantile: number): string =>
    median(turns.map((turn) => quantileOf(values(turn), quantile))).toFixed(1)
  const rows = contestants.map(({ name, turns }) => {
    const pair = (values: (turn: LatencyTurn) => Float64Array): string[] => [of(turns, values, 0.5), of(turns, values, 0.99)]
    const share = (values: (turn: LatencyTurn) => number): string => {
      const part = median(turns.map(values))
      return Number.isNaN(part) ? '?' : `${(part * 100).toFixed(0)} %`
    }
    return [
      name,
      ...pair(({ totalMs }) => totalMs),
      ...pair(({ lateMs }) => lateMs),
      ...pair(({ storingMs }) => storingMs),
      ...pair(({ fetchingMs }) => fetchingMs),
      share(({ cores }) => cores.ours),
      share(({ cores }) => cores.kinesis),
      share(({ cores }) => cores.dynamodb),
    ]
  })
  const groups = ['', 'in all', '', 'until put', '', '.. stored', '', '.. handled', '', 'one core of', '', '']
  const heads = ['p50 and p99 in ms', ...Array.from({ length: 4 }, () => ['p50', 'p99']).flat(), 'ours', 'Kinesis', 'DynamoDB']
  const lines = [groups, heads, ...rows]
  const widths = heads.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  return lines
    .map((line) => `  ${line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')}\n`)
    .join('')
}

function histogram(contestants: readonly Contestant[]): string {
  const shares = contestants.map(({ turns }) => sharesOf(turns))
  const used = EDGES.map((_, i) => i)
    .concat(EDGES.length)
    .filter((i) => shares.some((share) => share[i]! > 0))
  const label = (i: number): string => (i === EDGES.length ? `> ${EDGES.at(-1)}` : `${EDGES[i - 1] ?? 0} - ${EDGES[i]}`)
  const most = Math.max(...shares.flat())
  const column = (share: number): string => {
    const bar = share === 0 ? '' : '█'.repeat(Math.round((share / most) * BAR_WIDTH)) || '▏'
    return `${bar} ${share === 0 ? '' : `${(share * 100).toPrecision(2)} %`}`.padEnd(BAR_WIDTH + 9)
  }
  const lines = [
    `${'ms'.padStart(12)}   ${contestants.map(({ name }) => name.padEnd(BAR_WIDTH + 9)).join('')}`,
    ...used.map((i) => `${label(i).padStart(12)}   ${shares.map((share) => column(share[i]!)).join('')}`),
  ]
  return lines.map((line) => `${line.trimEnd()}\n`).join('')
}

/** The part of all latencies that lies below each edge and not below the one before. */
function sharesOf(turns: readonly LatencyTurn[]): number[] {
  const counts: number[] = new Array(EDGES.length + 1).fill(0)
  let all = 0
  for (const { totalMs } of turns) {
    all += totalMs.length
    for (const value of totalMs) {
      const edge = EDGES.findIndex((upper) => value < upper)
      counts[edge === -1 ? EDGES.length : edge]!++
    }
  }
  return counts.map((count) => count / all)
}
