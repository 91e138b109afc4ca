import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { growthPlots } from './growth-plots.js'
import { logPlot } from './log-plot.js'
import { newestResults, type Recorded } from './recorded-results.js'
import { withTables } from './result-tables.js'

function recorded(name: string, nsByRound: Record<string, readonly number[]> = {}): Recorded {
  const machine = { node: 'v20.20.2', cpu: 'a processor', cores: 2, load: 0.5 }
  const peer = { name: 'a peer', value: 5000, ratio: 2.5, spread: [2, 3] as const }
  const measurement = { name, unit: 'ns', ours: 2000, peers: [peer], nsByRound }
  return { run: { startedAt: '2026-11-21T18:00:00.000Z', machine, rounds: 5, timer: 'cpu', measurements: [] }, measurement }
}

const results = new Map([recorded('lease-cost'), recorded('lease-cost-manual')].map((each) => [each.measurement.name, each]))

test('a table is put between its marks, with the command that made it; what was measured before goes', () => {
  const before = 'a\n<!-- figures: lease-cost -->\nold\n<!-- end of figures -->\nb\n'
  const { text, missing } = withTables(before, results)
  expect(missing).toEqual([])
  expect(text).toBe(`a
<!-- figures: lease-cost -->

| benchmark | unit | ours | beside | figure | ours is | in single rounds | goal |
| --- | --- | --- | --- | --- | --- | --- | --- |
| \`lease-cost\` | ns | **2,000** | a peer | 5,000 | x2.50 | x2.00 to x3.00 | <= 1100: missed |
| \`lease-cost-manual\` | ns | **2,000** | a peer | 5,000 | x2.50 | x2.00 to x3.00 |  |

\`npm run bench -- lease-cost\`: 2026-11-21 18:00 UTC with \`--cpu\`, Node 20.20.2, 2 x a processor, load average 0.5, 5 rounds.

<!-- end of figures -->
b
`)
  expect(withTables(text, results).text).toBe(text)
})

test('what was measured once is not said to be of all rounds', () => {
  const once = recorded('lease-cost', { ours: [2000], other: [5000] })
  const { text } = withTables('<!-- figures: lease-cost -->\n<!-- end of figures -->', new Map([['lease-cost', once]]))
  expect(text).toContain('| x2.50 | measured once |')
  expect(text).toContain('5 rounds. Measured once, not in each round: `lease-cost`.\n')
})

test('of each benchmark the newest result counts, but for those against another Kinesis', () => {
  const folder = mkdtempSync(join(tmpdir(), 'shardwise-results-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const keep = (day: number, names: readonly string[], endpoint?: string): void => {
    const startedAt = `2026-11-0${day}T00:00:00.000Z`
    const measurements = names.map((name) => recorded(name).measurement)
    const run = { ...recorded('').run, startedAt, measurements, endpoint }
    writeFileSync(join(folder, `${startedAt.replaceAll(':', '-')}.json`), JSON.stringify(run))
  }
  keep(2, ['producer-http'])
  keep(1, ['producer-http', 'lease-cost'])
  keep(3, ['producer-http'], 'http://127.0.0.1:4567')
  const newest = newestResults(pathToFileURL(`${folder}/`))
  expect([...newest].map(([name, { run }]) => [name, run.startedAt.slice(0, 10)])).toEqual([
    ['producer-http', '2026-11-02'],
    ['lease-cost', '2026-11-01'],
  ])
})

test('a table of which a benchmark was not measured stays as it was, and is named', () => {
  const before = '<!-- figures: lease-cost failover -->\nold\n<!-- end of figures -->\n'
  expect(withTables(before, results)).toEqual({ text: before, missing: ['failover'] })
})

test('a curve has each of its points at its place, with its value as text', () => {
  const svg = logPlot({
    ...{ title: 'a < b', description: 'a curve' },
    x: { label: 'shards', format: String },
    y: { label: 'time', format: (value) => `${value} ns` },
    series: [
      {
        name: 'producer',
        points: [1, 10, 100].map((x) => ({ x, y: 10 * x, least: 9 * x, most: 11 * x })),
      },
    ],
  })
  expect(svg).toContain('a &lt; b')
  const marks = [...svg.matchAll(/<circle class="m0" cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)])
  const [first, second, third] = marks as [[number, number], [number, number], [number, number]]
  // Equal factors are equally far apart, to the right and up.
  expect(second[0] - first[0]).toBeCloseTo(third[0] - second[0], 1)
  expect(first[1] - second[1]).toBeCloseTo(second[1] - third[1], 0)
  expect(second[1]).toBeLessThan(first[1])
  for (const text of ['10 ns', '100 ns', '1000 ns', 'producer', 'shards']) expect(svg).toContain(`>${text}</text>`)
})

test('a plot is drawn when all of its curves were measured', () => {
  const ns = { '10,000 shards': [3000, 2000, 4000], '1 shard': [2000, 2000, 2100] }
  const producer = recorded('growth-producer-shards', ns)
  const consumer = recorded('growth-consumer-shards', ns)
  expect(growthPlots(new Map([['growth-producer-shards', producer]]))).toEqual(new Map())
  const both = new Map([producer, consumer].map((each) => [each.measurement.name, each]))
  const plots = growthPlots(both)
  expect([...plots.keys()]).toEqual(['growth-shards'])
  expect(plots.get('growth-shards')).toContain('producer: 1 2 µs, 10,000 3 µs')
})
