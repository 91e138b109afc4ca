// npm run chaos: producers, workers and services in processes of their own, with deaths, pauses, reshards, restarts and a bad network between them.
import { runSource } from './run-source.mjs'

await runSource('chaos', 'test/chaos/main.ts')
