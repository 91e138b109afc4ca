import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { producerInstruments } from './instruments.js'
import { MetricTallies } from './producer-metrics.js'

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
const rows = readme
  .slice(readme.indexOf('### Metrics'), readme.indexOf('`telemetry` is an object'))
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .map((line) => line.split('|').map((cell) => cell.trim()))

test("the README's table has every measurement as it is", () => {
  const told = rows.flatMap(([, , , measurement, kind, attributes]) => {
    const name = /`(shardwise[\w.]+)`/.exec(measurement!)?.[1]
    return name === undefined ? [] : [[name, kind, attributes]]
  })
  const made = Object.entries(producerInstruments).map(([name, { kind, unit, attributes }]) => [
    name,
    `${kind}, \`${unit}\``,
    attributes.map((attribute) => `\`${attribute}\``).join(', '),
  ])
  expect(told.sort()).toEqual(made.sort())
})

test("the README's table has every metric of stats()", () => {
  const told = rows.flatMap(([, metric]) => [...metric!.matchAll(/`([A-Z]\w+)`/g)].map(([, name]) => name!))
  expect(told.sort()).toEqual(Object.keys(new MetricTallies().snapshot).sort())
})
