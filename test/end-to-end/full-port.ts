import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface FullPort {
  readonly port: number
  free(): void
}

/**
 * A port of this machine on which no connection is established: a stopped process listens there, and its queue of connections is full.
 * Then Linux leaves a SYN without an answer, as a host does that is not there.
 */
export async function fullPort(): Promise<FullPort> {
  const script =
    "const s = require('net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => console.log(s.address().port))"
  const listener = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line]: Buffer[] = await once(listener.stdout, 'data')
  const port = Number(line)
  listener.kill('SIGSTOP')
  const queued: Socket[] = []
  for (;;) {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    queued.push(socket)
    const isIn = await Promise.race([once(socket, 'connect').then(() => true), unanswered()])
    if (!isIn) break
  }
  return {
    port,
    free() {
      for (const socket of queued) socket.destroy()
      listener.kill('SIGKILL')
    },
  }
}

/** A connection on loopback takes microseconds; what is not there after half a second is one for which the queue has no room. */
function unanswered(): Promise<false> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(false), 500)
  })
}
