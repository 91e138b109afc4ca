import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { seededRandom } from '@shardwise/core/random'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { FaultLink } from './fault-link.js'
import { machineNow } from './machine-time.js'

let echo: Server
let link: FaultLink
const sockets: Socket[] = []

beforeEach(async () => {
  echo = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {}).on('data', (bytes) => socket.write(bytes))
  })
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve))
  link = await FaultLink.to(`http://127.0.0.1:${(echo.address() as AddressInfo).port}`, seededRandom(1))
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await link[Symbol.asyncDispose]()
  echo.close()
})

/** `once` would reject at the reset that comes before. */
function closing(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

async function client(): Promise<Socket> {
  const socket = connect(Number(new URL(link.endpoint).port), '127.0.0.1').on('error', () => {})
  sockets.push(socket)
  await once(socket, 'connect')
  return socket
}

async function said(socket: Socket, text: string): Promise<string> {
  const answer = once(socket, 'data')
  socket.write(text)
  return String((await answer)[0])
}

/** Nothing has come when a connection that is well has been there and back, twice. */
async function silentFor(socket: Socket, act: () => void): Promise<string> {
  let heard = ''
  const listen = (bytes: Buffer): void => {
    heard += String(bytes)
  }
  socket.on('data', listen)
  act()
  const other = connect((echo.address() as AddressInfo).port, '127.0.0.1')
  sockets.push(other)
  await said(other, 'one')
  await said(other, 'two')
  socket.off('data', listen)
  return heard
}

it('carries bytes both ways, and they take their time', async () => {
  const socket = await client()
  expect(await said(socket, 'hello')).toBe('hello')
  link.weather = { latencyMs: 40, jitterMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY }
  const since = machineNow()
  expect(await said(socket, 'late')).toBe('late')
  expect(machineNow() - since).toBeGreaterThanOrEqual(79)
})

it('is no faster than its bandwidth, and keeps the order', async () => {
  const socket = await client()
  link.weather = { latencyMs: 0, jitterMs: 5, bytesPerSecond: 500_000 }
  const sent = Buffer.from(Uint8Array.from({ length: 50_000 }, (_, i) => (i * i) % 251))
  const since = machineNow()
  socket.write(sent)
  const parts: Buffer[] = []
  for await (const part of socket) {
    parts.push(part)
    if (Buffer.concat(parts).length === sent.length) break
  }
  expect(Buffer.concat(parts).equals(sent)).toBe(true)
  expect(machineNow() - since).toBeGreaterThan(90)
})

it('half-open: what was there stays and hears nothing, what comes is well, and the trouble lasts until it is gone', async () => {
  const socket = await client()
  await said(socket, 'hello')
  link.halfOpen()
  expect(await silentFor(socket, () => socket.write('anybody?'))).toBe('')
  expect(link.effects).toMatchObject({ halfOpen: 1, swallowedBytes: 8 })
  expect(socket.readyState).toBe('open')
  expect(await said(await client(), 'new')).toBe('new')
  expect(link.trouble.between(machineNow(), machineNow())).toBe(true)
  socket.destroy()
  await silentFor(socket, () => {})
  expect(link.trouble.between(machineNow(), machineNow())).toBe(false)
})

it('truncates: so many bytes, then the connection breaks', async () => {
  const socket = await client()
  await said(socket, 'hello')
  link.truncate(3)
  const closed = closing(socket)
  expect(await said(socket, 'answer')).toBe('ans')
  await closed
})

it.each(['refusing', 'closed'] as const)('%s: breaks what is there and lets nobody in, until it is open again', async (reach) => {
  const socket = await client()
  await said(socket, 'hello')
  const closed = closing(socket)
  await link.set(reach)
  await closed
  const late = connect(Number(new URL(link.endpoint).port), '127.0.0.1')
  const failure = await new Promise<string>((resolve) => {
    late.on('error', (error: NodeJS.ErrnoException) => resolve(error.code!))
    late.on('close', () => resolve('ECONNRESET'))
  })
  expect(failure).toBe(reach === 'closed' ? 'ECONNREFUSED' : 'ECONNRESET')
  await link.set('open')
  expect(await said(await client(), 'again')).toBe('again')
})

it('swallowing: connects and says nothing, for ever on that connection', async () => {
  await link.set('swallowing')
  const socket = await client()
  expect(await silentFor(socket, () => socket.write('anybody?'))).toBe('')
  await link.set('open')
  expect(await silentFor(socket, () => socket.write('anybody?'))).toBe('')
  expect(await said(await client(), 'again')).toBe('again')
})

it('silent: what was said arrives late', async () => {
  const socket = await client()
  await said(socket, 'hello')
  await link.set('silent')
  expect(await silentFor(socket, () => socket.write('late'))).toBe('')
  const heard = once(socket, 'data')
  await link.set('open')
  expect(String((await heard)[0])).toBe('late')
})

it('a service that goes takes the connections with it', async () => {
  const socket = await client()
  await said(socket, 'hello')
  const closed = closing(socket)
  for (const one of sockets) if (one !== socket) one.resetAndDestroy()
  await closed
  expect(link.trouble.between(0, machineNow())).toBe(true)
})
