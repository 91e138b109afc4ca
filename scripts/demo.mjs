// npm run demo: real flights through the sources.
import { runSource } from './run-source.mjs'

await runSource('demo', 'test/demo/main.ts')
