import { goalOf } from './goals.js'
import type { Measurement } from './rounds.js'

const figure = (value: number): string => String(Number(value.toPrecision(3)))
const times = (ratio: number): string => `x${ratio.toPrecision(3)}`

/** A line for each peer of each benchmark. */
export function table(measurements: readonly Measurement[]): string {
  const rows = measurements.flatMap((measurement) => {
    const { name, unit, ours, peers } = measurement
    const first = [name, unit, figure(ours)]
    if (peers.length === 0) return [[...first, '', '', '', '', goalOf(measurement)]]
    return peers.map((peer, i) => [
      ...(i === 0 ? first : ['', '', '']),
      peer.name,
      figure(peer.value),
      times(peer.ratio),
      peer.spread?.map(times).join(' to ') ?? 'not measured',
      i === 0 ? goalOf(measurement) : '',
    ])
  })
  const lines = [['benchmark', 'unit', 'ours', 'peer', "peer's", 'ours is', 'in single rounds', 'goal'], ...rows]
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, column) => cell.padEnd(widths[column]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}

/** One line of JSON. `ratio`: how many times as fast as the first peer ours is; null where there is none. */
export function jsonLine(measurements: readonly Measurement[]): string {
  const rounded = (value: number): number => Number(value.toPrecision(4))
  return `${JSON.stringify(
    measurements.map(({ name, unit, ours, peers }) => ({
      name,
      unit,
      ours: rounded(ours),
      peers: Object.fromEntries(peers.map((peer) => [peer.name, rounded(peer.value)])),
      ratio: peers[0] === undefined ? null : rounded(peers[0].ratio),
    })),
  )}\n`
}
