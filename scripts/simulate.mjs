// npm run simulate: worlds of producers and consumers on virtual time, each drawn from a seed, in which every promise is watched.
import { runSource } from './run-source.mjs'

await runSource('simulation', 'test/simulation/main.ts')
