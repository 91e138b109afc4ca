import { simulate } from '/tmp/wt/sim/test/simulation/simulation.ts'
const [first, count, tr] = process.argv.slice(2)
process.on('unhandledRejection', (e) => { console.error('UNHANDLED', e) })
for (let s = Number(first); s < Number(first) + Number(count); s++) {
  const t = performance.now()
  const r = await simulate({ seed: s, trace: tr ? console.log : undefined })
  console.log(JSON.stringify({ ...r, violations: r.violations.slice(0, 3), ms: Math.round(performance.now() - t) }))
}
