/** In place of simulation-worker.ts: what can become of its process. */
const nothing = { virtualMs: 0, steps: 0, puts: 0, acknowledged: 0, handled: 0, disturbances: 0, moves: 0 }

process.on('message', ({ seed }) => {
  if (seed === 0) process.exit(1)
  process.send({ beat: seed }, () => {
    if (seed === 2) process.kill(process.pid, 'SIGKILL')
    else if (seed === 5) process.exit(7)
    else if (seed !== 4) process.send({ seed, violations: [], only: undefined, ...nothing })
  })
})
