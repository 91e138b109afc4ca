// npm run kcl-fleet: Amazon's KCL for Java and Shardwise on one lease table, and the proof that nothing is lost. Needs Java and Maven.
import { runSource } from './run-source.mjs'

await runSource('fleet', 'test/kcl/main.ts')
