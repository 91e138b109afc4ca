import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { repository } from './workspace-packages.js'

/** A test that docs/guarantees.md names: `path`: “part of its title”. */
interface Proof {
  readonly file: string
  readonly title: string
}

interface Row {
  /** The heading of the table that it stands in. */
  readonly section: string
  readonly cells: readonly string[]
  readonly proofs: readonly Proof[]
}

const page = readFileSync(join(repository, 'docs/guarantees.md'), 'utf8')

function proofsOf(text: string): Proof[] {
  const proofs: Proof[] = []
  // Several titles of one file stand behind its path.
  for (const [, file, titles] of text.matchAll(/`([^`]+\.(?:test|suite)\.ts)`:((?:,? ?“[^”]+”)+)/g)) {
    for (const [, title] of titles!.matchAll(/“([^”]+)”/g)) proofs.push({ file: file!, title: title! })
  }
  return proofs
}

function rowsOf(text: string): Row[] {
  let section = ''
  return text.split('\n').flatMap((line) => {
    if (line.startsWith('## ')) section = line.slice(3)
    const cells = /^\|(.*)\|$/
      .exec(line)?.[1]
      ?.split('|')
      .map((cell) => cell.trim())
    if (cells === undefined || /^[-: ]*$/.test(cells.join('')) || cells.at(-1) === 'test') return []
    return { section, cells, proofs: proofsOf(line) }
  })
}

const rows = rowsOf(page)
const scenarios = rows.filter(({ section }) => section.startsWith('Scenarios'))

/** A title as the source has it: quotes and backslashes may be escaped there. */
function has(source: string, title: string): boolean {
  return source.includes(title) || source.replaceAll(/\\(['"`\\])/g, '$1').includes(title)
}

function testFiles(): string[] {
  return ['packages', 'test'].flatMap((folder) =>
    readdirSync(join(repository, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.(test|suite)\.ts$/.test(file) && !file.includes('node_modules') && !/(^|\/)dist\//.test(file))
      .map((file) => `${folder}/${file}`),
  )
}

describe('docs/guarantees.md', () => {
  it('has a test for each promise and each scenario', () => {
    expect(rows.length).toBeGreaterThan(40)
    expect(rows.filter(({ proofs }) => proofs.length === 0).map(({ cells }) => cells.join(' | '))).toEqual([])
  })

  it.each(rows.flatMap(({ proofs }) => proofs))('$file has “$title”', ({ file, title }) => {
    expect(existsSync(join(repository, file)), `${file} does not exist`).toBe(true)
    expect(has(readFileSync(join(repository, file), 'utf8'), title), `no test of ${file} is called “${title}”`).toBe(true)
  })

  it('quotes nothing without the file before it, and names no test file without a title', () => {
    const proofs = proofsOf(page)
    expect(proofs.map(({ title }) => title)).toEqual([...page.matchAll(/“([^”]+)”/g)].map(([, title]) => title))
    expect([...new Set(proofs.map(({ file }) => file))].sort()).toEqual(
      [...new Set([...page.matchAll(/`([^`]+\.(?:test|suite)\.ts)`/g)].map(([, file]) => file!))].sort(),
    )
  })

  it('has the scenarios 1 to 29, each once', () => {
    const numbers = scenarios.map(({ cells }) => Number(cells[0]))
    expect(numbers.filter((number) => number <= 29)).toEqual(Array.from({ length: 29 }, (_, i) => i + 1))
  })

  it('knows every test that says which scenario it is', () => {
    const forgotten = testFiles().flatMap((file) => {
      if (file.endsWith('guarantees.test.ts')) return []
      const said = readFileSync(join(repository, file), 'utf8').matchAll(/^\s*(?:describe|it|test)\b.*\bscenario (\d+):/gm)
      return [...new Set([...said].map(([, number]) => number!))]
        .filter((number) => !scenarios.some((row) => row.cells[0] === number && row.proofs.some((proof) => proof.file === file)))
        .map((number) => `${number} in ${file}`)
    })
    expect(forgotten).toEqual([])
  })
})
