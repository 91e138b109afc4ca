// npm run bench: measures the sources.
import { runSource } from './run-source.mjs'

await runSource('benchmark', 'benchmarks/main.ts', ['--expose-gc'], ['--import', './test/support/plain-names.mjs'])
