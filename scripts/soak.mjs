// npm run soak: a producer at its shards' full rate for as long as you like, with faults and reshards, and the proof that nothing is lost.
import { runSource } from './run-source.mjs'

await runSource('soak', 'test/soak/main.ts', ['--expose-gc'])
