// npm run figures: plots and tables of docs/performance.md, from what `npm run bench -- --json` has kept.
import { runSource } from './run-source.mjs'

await runSource('figures', 'benchmarks/figures.ts')
