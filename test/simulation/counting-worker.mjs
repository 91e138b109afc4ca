/** In place of simulation-worker.ts: reports, as the seed, how many worlds this process has had. */
const nothing = { virtualMs: 0, steps: 0, puts: 0, acknowledged: 0, handled: 0, disturbances: 0, moves: 0 }
let worlds = 0

process.on('message', ({ seed }) => {
  worlds++
  process.send({ beat: seed }, () => process.send({ seed: worlds, violations: [], only: undefined, ...nothing }))
})
