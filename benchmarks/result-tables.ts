import { goalOf } from './goals.js'
import type { Recorded } from './recorded-results.js'

const SECTION = /(<!-- figures: ([a-z0-9 -]+) -->\n)([\s\S]*?)(<!-- end of figures -->)/g

export interface Renewed {
  readonly text: string
  /** Benchmarks, or beginnings of their names, of which there is no result: what the text had of them stays. */
  readonly missing: readonly string[]
}

/**
 * Puts a table into each part of the text between `<!-- figures: NAME... -->` and `<!-- end of figures -->`, of the benchmarks of that name and of
 * those whose names begin so, and the command that made it.
 */
export function withTables(text: string, results: ReadonlyMap<string, Recorded>): Renewed {
  const missing: string[] = []
  const renewed = text.replace(SECTION, (whole, begin: string, list: string, _: string, end: string) => {
    const names = list.trim().split(/ +/)
    const found = names.map((name) => [...results.values()].filter(({ measurement }) => isCalled(measurement.name, name)))
    const absent = names.filter((_, i) => found[i]!.length === 0)
    missing.push(...absent)
    if (absent.length > 0) return whole
    const rows = found.flat()
    return `${begin}\n${table(rows)}\n${origin(names, rows)}\n${end}`
  })
  return { text: renewed, missing }
}

function isCalled(name: string, wanted: string): boolean {
  return name === wanted || name.startsWith(`${wanted}-`)
}

function table(rows: readonly Recorded[]): string {
  const lines = rows.flatMap(({ measurement }) => {
    const { name, unit, ours, peers } = measurement
    const own = [`\`${name}\``, unit, `**${figure(ours)}**`]
    const cells = peers.map((peer) => [
      ...[peer.name, figure(peer.value), `x${peer.ratio.toPrecision(3)}`],
      peer.spread === undefined
        ? 'not measured'
        : isOnce(measurement)
          ? 'measured once'
          : peer.spread.map((ratio) => `x${ratio.toPrecision(3)}`).join(' to '),
    ])
    const [first = ['', '', '', ''], ...others] = cells
    return [[...own, ...first, goalOf(measurement)], ...others.map((cell) => ['', '', '', ...cell, ''])]
  })
  const head = ['benchmark', 'unit', 'ours', 'beside', 'figure', 'ours is', 'in single rounds', 'goal']
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}

function isOnce({ nsByRound }: Recorded['measurement']): boolean {
  return Object.values(nsByRound).some((values) => values.length === 1)
}

/** By which command, where and when. Runs on different days are named one by one. */
function origin(names: readonly string[], rows: readonly Recorded[]): string {
  const runs = [...new Map(rows.map(({ run }) => [run.startedAt, run])).values()]
  const places = runs.map(({ startedAt, machine, timer, rounds }) => {
    const at = startedAt.slice(0, 16).replace('T', ' ')
    const processor = `${machine.cores} x ${machine.cpu.trim()}, load average ${machine.load.toFixed(1)}`
    return `${at} UTC${timer === 'cpu' ? ' with `--cpu`' : ''}, Node ${machine.node.replace(/^v/, '')}, ${processor}, ${rounds} rounds`
  })
  const once = rows.filter(({ measurement }) => isOnce(measurement)).map(({ measurement: { name } }) => `\`${name}\``)
  const exceptions = once.length === 0 ? '' : ` Measured once, not in each round: ${once.join(', ')}.`
  return `\`npm run bench -- ${names.join(' ')}\`: ${places.join('; ')}.${exceptions}\n`
}

function figure(value: number): string {
  const rounded = Number(value.toPrecision(3))
  return rounded >= 1000 ? rounded.toLocaleString('en-US') : String(rounded)
}
