import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const here = fileURLToPath(new URL('.', import.meta.url))
const readme = readFileSync(`${here}../README.md`, 'utf8')

/** What stands as code in the first cells of the tables of a section. */
function told(heading: string): string[] {
  const section = readme.split(`\n## ${heading}\n`)[1]!.split('\n## ')[0]!
  const cells = section.split('\n').flatMap((row) => /^\| (`.*?) \| /.exec(row)?.[1] ?? [])
  return cells.flatMap((cell) => [...cell.matchAll(/`(\w[\w.-]*)`/g)].map(([, name]) => name!))
}

/** The members of an interface. */
function members(file: string, name: string): string[] {
  const [, body = ''] = new RegExp(`export interface ${name}\\b[^\\n]*\\{\\n(.*?)\\n\\}`, 's').exec(
    readFileSync(`${here}${file}`, 'utf8'),
  )!
  return [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, member]) => member!)
}

it('the README tells of every event, and of no other', () => {
  const files = readdirSync(here, { recursive: true, encoding: 'utf8' }).filter((file) => /^[^.]+\.ts$/.test(file))
  const sources = files.map((file) => readFileSync(`${here}${file}`, 'utf8')).join('\n')
  const events = new Set([...sources.matchAll(/readonly type: '([\w-]+)'/g)].map(([, type]) => type!))
  expect(told('Events').sort()).toEqual([...events].sort())
  expect(events.size).toBeGreaterThan(40)
})

it('the README tells of every option, and of no other', () => {
  const ofAws = members('../../core/src/transport/kinesis-connection.ts', 'AwsConnection')
  const options = [...ofAws, ...members('consumer-options.ts', 'ConsumerOptions'), ...members('run-options.ts', 'RunOptions')]
  expect([...new Set(told('Options').map((name) => name.split('.')[0]!))].sort()).toEqual(options.sort())
})
