import { createServer, request } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import { type AddressInfo, connect, createServer as createTcpServer, type Server } from 'node:net'
import { expect, it } from 'vitest'
import { RequestCount } from './request-count.js'

/** Carries bytes to the server, in pieces of this size at most, and counts. */
async function counting(server: Server, pieceBytes: number): Promise<{ port: number; count: () => number; close: () => void }> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  let count = 0
  const proxy = createTcpServer((client) => {
    const requests = new RequestCount()
    const service = connect((server.address() as AddressInfo).port, '127.0.0.1')
    for (const socket of [client, service]) socket.on('error', () => {})
    client.on('data', (bytes: Buffer) => {
      for (let at = 0; at < bytes.length; at += pieceBytes) count += requests.count(bytes.subarray(at, at + pieceBytes))
      service.write(bytes)
    })
    service.on('data', (bytes) => client.write(bytes))
    client.on('close', () => service.destroy())
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const close = (): void => void [proxy.close(), server.close()]
  return { port: (proxy.address() as AddressInfo).port, count: () => count, close }
}

it.each([1, 7, 100_000])('counts requests of HTTP/2, also in pieces of %i bytes', async (pieceBytes) => {
  const server = createHttp2Server((_, response) => void response.end('well'))
  const { port, count, close } = await counting(server as unknown as Server, pieceBytes)
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  for (let n = 1; n <= 3; n++) {
    await new Promise((resolve) => {
      const stream = session.request({ ':method': 'POST', ':path': '/' })
      stream.on('close', resolve).resume()
      stream.end(Buffer.alloc(40_000, 'POST / HTTP/1.1\r\n'))
    })
    expect(count()).toBe(n)
  }
  session.destroy()
  close()
})

it('counts requests of HTTP/1.1 on one connection', async () => {
  const server = createServer((_, response) => void response.end('well'))
  const { port, count, close } = await counting(server, 100_000)
  for (let n = 1; n <= 3; n++) {
    await new Promise((resolve) => {
      const asked = request({ port, method: 'POST', headers: { 'content-length': 4 } }, (response) =>
        response.on('end', resolve).resume(),
      )
      asked.end('body')
    })
  }
  expect(count()).toBe(3)
  close()
})
