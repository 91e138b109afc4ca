/** `npm run figures`: writes docs/plots and the tables of docs/performance.md anew, of the newest results of each benchmark. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { growthPlots } from './growth-plots.js'
import { newestResults } from './recorded-results.js'
import { withTables } from './result-tables.js'

const RESULTS = new URL('results/', import.meta.url)
const DOCUMENT = new URL('../docs/performance.md', import.meta.url)
const PLOTS = new URL('../docs/plots/', import.meta.url)

const results = newestResults(RESULTS)
const { text, missing } = withTables(readFileSync(DOCUMENT, 'utf8'), results)
writeFileSync(DOCUMENT, text)
mkdirSync(PLOTS, { recursive: true })
const plots = growthPlots(results)
for (const [file, svg] of plots) writeFileSync(new URL(`${file}.svg`, PLOTS), svg)
process.stdout.write(`docs/performance.md, and in docs/plots: ${[...plots.keys()].join(', ') || 'nothing'}\n`)
if (missing.length > 0) {
  process.stdout.write(`As they were, for want of results (npm run bench -- NAME --json): ${missing.join(', ')}\n`)
}
