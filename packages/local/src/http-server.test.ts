import { once } from 'node:events'
import { Agent, request as http1Request, type IncomingMessage } from 'node:http'
import { connect as connectHttp2, constants } from 'node:http2'
import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { systemClock } from '@shardwise/core/clock'
import { afterEach, describe, expect, it } from 'vitest'
import { MAX_BODY_BYTES, type WireHandler } from './http-exchange.js'
import { HttpServer } from './http-server.js'
import { PortUnavailableError } from './port-unavailable-error.js'
import { selfSignedCertificate } from './self-signed-certificate.js'

const certificate = selfSignedCertificate('127.0.0.1', systemClock)
const servers: HttpServer[] = []

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()))
})

/** Answers with the body it was sent, and says the path. */
const echo: WireHandler = async ({ path, body }) => ({ status: 200, headers: { 'x-path': path }, body })

async function serve(handler: WireHandler = echo, options: { secure?: boolean; port?: number } = {}): Promise<HttpServer> {
  const server = new HttpServer({
    handler,
    host: '127.0.0.1',
    port: options.port ?? 0,
    portOption: 'port',
    tls: options.secure === true ? certificate : undefined,
  })
  servers.push(server)
  await server.start()
  return server
}

function portOf(server: HttpServer): number {
  return Number(server.authority.split(':')[1])
}

interface Reply {
  readonly status: number
  readonly path: string
  readonly body: Buffer
}

async function overHttp1(
  server: HttpServer,
  body: Uint8Array,
  options: { secure?: boolean; agent?: Agent } = {},
): Promise<Reply> {
  const send = options.secure === true ? httpsRequest : http1Request
  const sent = send({
    host: '127.0.0.1',
    port: portOf(server),
    method: 'POST',
    path: '/one?a=b',
    ...(options.secure === true ? { ca: certificate.cert } : {}),
    ...(options.agent === undefined ? {} : { agent: options.agent }),
  })
  sent.end(body)
  const [answer] = (await once(sent, 'response')) as [IncomingMessage]
  return { status: answer.statusCode ?? 0, path: String(answer.headers['x-path']), body: await buffer(answer) }
}

/** As the SDK's default handler does it: one session for each request, closed (GOAWAY) as soon as the answer begins. */
async function overHttp2(server: HttpServer, body: Uint8Array, options: { secure?: boolean } = {}): Promise<Reply> {
  const session =
    options.secure === true
      ? connectHttp2(`https://${server.authority}`, { ca: certificate.cert })
      : connectHttp2(`http://${server.authority}`)
  const stream = session.request({ ':method': 'POST', ':path': '/two' })
  const failed = new Promise<never>((_, reject) => {
    session.on('error', reject)
    stream.on('error', reject)
    // A connection that ends in order closes its streams without an error.
    stream.on('close', () => reject(new Error('closed')))
  })
  failed.catch(() => {})
  stream.end(body)
  const [headers] = await Promise.race([once(stream, 'response'), failed])
  session.close()
  const answer = await buffer(stream)
  return { status: Number(headers[':status']), path: String(headers['x-path']), body: answer }
}

describe.each([{ secure: false }, { secure: true }])('with TLS $secure', ({ secure }) => {
  it('speaks HTTP/1.1 and HTTP/2 on one port, at the same time, with bodies small and large', async () => {
    const server = await serve(echo, { secure })
    const agent = new Agent({ keepAlive: true })
    const bodies = [0, 1, 65_535, 65_536, 1_000_000, 5_000_000].map((size) => Buffer.alloc(size, `${size} `))
    const replies = await Promise.all(
      bodies.flatMap((body) => [
        overHttp1(server, body, { secure, ...(secure ? {} : { agent }) }),
        overHttp2(server, body, { secure }),
        overHttp2(server, body, { secure }),
      ]),
    )
    agent.destroy()
    for (const [index, reply] of replies.entries()) {
      expect(reply.status).toBe(200)
      expect(reply.path).toBe(index % 3 === 0 ? '/one?a=b' : '/two')
      expect(reply.body.equals(bodies[Math.floor(index / 3)]!)).toBe(true)
    }
  })

  it('carries many large bodies at once over one HTTP/2 session', async () => {
    const server = await serve(echo, { secure })
    const session = connectHttp2(`${secure ? 'https' : 'http'}://${server.authority}`, {
      ca: certificate.cert,
      maxSessionMemory: 1000,
    })
    const sizes = Array.from({ length: 12 }, (_, index) => 5_000_000 + index)
    const answers = await Promise.all(
      sizes.map((size) => {
        const stream = session.request({ ':method': 'POST' })
        stream.end(Buffer.alloc(size))
        return buffer(stream)
      }),
    )
    expect(answers.map(({ length }) => length)).toEqual(sizes)
    session.destroy()
  })

  it('goes on when clients reset their connections, at once or before they said what they speak', async () => {
    const server = await serve(echo, { secure })
    for (const said of ['', 'P', '\x16\x03', 'POST / HTTP/1.1\r\n']) {
      const socket = connect(portOf(server), '127.0.0.1')
      await once(socket, 'connect')
      if (said !== '') await new Promise((resolve) => socket.write(Buffer.from(said, 'latin1'), resolve))
      await overHttp1(server, Buffer.alloc(0), { secure })
      socket.resetAndDestroy()
      await once(socket, 'close')
    }
    expect((await overHttp1(server, Buffer.from('fine'), { secure })).body.toString()).toBe('fine')
  })

  it('answers 413 to a body over the limit, with the limit, and goes on', async () => {
    const server = await serve(echo, { secure })
    const large = Buffer.alloc(MAX_BODY_BYTES + 1)
    for (const reply of [await overHttp1(server, large, { secure }), await overHttp2(server, large, { secure })]) {
      expect(reply.status).toBe(413)
      expect(reply.body.toString()).toContain(`${MAX_BODY_BYTES + 1} bytes; at most ${MAX_BODY_BYTES} are taken`)
    }
    expect((await overHttp1(server, large.subarray(1), { secure })).status).toBe(200)
  })

  it('breaks the connection without an answer when told to, and no other', async () => {
    const server = await serve(async (request, signal) => (request.body.length === 1 ? 'drop' : echo(request, signal)), {
      secure,
    })
    const session = connectHttp2(`${secure ? 'https' : 'http'}://${server.authority}`, { ca: certificate.cert })
    await once(session, 'connect')
    await expect(overHttp1(server, Buffer.alloc(1), { secure })).rejects.toMatchObject({ code: 'ECONNRESET' })
    await expect(overHttp2(server, Buffer.alloc(1), { secure })).rejects.toThrow('closed')
    expect((await overHttp1(server, Buffer.alloc(2), { secure })).status).toBe(200)
    const stream = session.request({ ':method': 'POST' })
    stream.end('kept')
    expect((await buffer(stream)).toString()).toBe('kept')
    session.destroy()
  })

  it('goes on when a client leaves before its answer', async () => {
    const begun: (() => void)[] = []
    const server = await serve(
      (request, signal) =>
        request.body.length > 1
          ? echo(request, signal)
          : new Promise((resolve) => begun.push(() => resolve(echo(request, signal)))),
      { secure },
    )
    const first = (secure ? httpsRequest : http1Request)({
      host: '127.0.0.1',
      port: portOf(server),
      method: 'POST',
      ca: certificate.cert,
    })
    first.on('error', () => {})
    first.end('1')
    const session = connectHttp2(`${secure ? 'https' : 'http'}://${server.authority}`, { ca: certificate.cert })
    const second = session.request({ ':method': 'POST' })
    second.on('error', () => {})
    second.end('2')
    while (begun.length < 2) await overHttp1(server, Buffer.alloc(2), { secure })
    first.destroy()
    session.destroy()
    await overHttp1(server, Buffer.alloc(2), { secure })
    for (const finish of begun) finish()
    for (const call of [overHttp1, overHttp2])
      expect((await call(server, Buffer.from('fine'), { secure })).body.toString()).toBe('fine')
  })

  it('stops under load: calls break, the port is free, nothing waits', async () => {
    const warnings: Error[] = []
    const warned = (warning: Error): void => void warnings.push(warning)
    process.on('warning', warned)
    let begun = 0
    let allBegun: () => void = () => {}
    const load = new Promise<void>((resolve) => {
      allBegun = resolve
    })
    const aborted: unknown[] = []
    const server = await serve(
      (_, signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            aborted.push(signal.reason)
            reject(signal.reason)
          })
          if (++begun === 20) allBegun()
        }),
      { secure },
    )
    const calls = Array.from({ length: 20 }, (_, index) =>
      (index % 2 === 0
        ? overHttp1(server, Buffer.alloc(1000), { secure })
        : overHttp2(server, Buffer.alloc(1000), { secure })
      ).then(
        () => 'answered',
        () => 'broken',
      ),
    )
    const half = connect(portOf(server), '127.0.0.1')
    half.on('error', () => {})
    half.write('P')
    await load
    const port = portOf(server)
    await Promise.all([server.stop(), server.stop()])
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['broken']))
    expect(aborted).toHaveLength(20)
    process.off('warning', warned)
    expect(warnings).toEqual([])
    const next = await serve(echo, { secure, port })
    expect((await overHttp1(next, Buffer.from('x'), { secure })).body.toString()).toBe('x')
    half.destroy()
  })
})

/** Sends these pieces, each after the one before has left, and gives what came back until the connection ended. */
async function raw(server: HttpServer, ...pieces: Array<string | Buffer>): Promise<string> {
  const socket = connect({ port: portOf(server), host: '127.0.0.1', noDelay: true })
  const received: Buffer[] = []
  socket.on('data', (chunk) => received.push(chunk))
  socket.on('error', () => {})
  // Who is refused in mid-sentence may hear of it by a reset.
  const closed = new Promise((resolve) => socket.once('close', resolve))
  for (const piece of pieces) {
    await new Promise((resolve) => socket.write(piece, resolve))
    // Another connection's round trip lets the server see this piece alone.
    await overHttp1(server, Buffer.alloc(0)).catch(() => {})
  }
  await closed
  return Buffer.concat(received).toString('latin1')
}

describe('strangers', () => {
  it('reads a request whose first bytes come one by one', async () => {
    const server = await serve()
    const answer = await raw(
      server,
      'P',
      'O',
      'S',
      'T / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n',
      'o',
      'k',
    )
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(answer).toMatch(/\r\n\r\nok$/)
  })

  it('reads an HTTP/2 preface that comes in parts', async () => {
    const server = await serve()
    const goAway = Buffer.from('0000080700000000000000000000000000', 'hex')
    const settings = Buffer.from('000000040000000000', 'hex')
    const answer = await raw(server, 'PRI * HT', 'TP/2.0\r\n\r\nSM', '\r\n\r\n', Buffer.concat([settings, goAway]))
    expect(answer.charCodeAt(3)).toBe(4) // a SETTINGS frame
  })

  it.each([
    ['noise', '\x00\xff\xfe nonsense\r\n\r\n'],
    ['a request line without end', `${'A'.repeat(100_000)}`],
    ['a header without end', `POST / HTTP/1.1\r\nA: ${'a'.repeat(100_000)}`],
    ['a negative length', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n'],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef'],
    ['a broken chunk', 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'],
    ['a preface that goes wrong', 'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n'],
    ['HTTP/2 frames of noise', `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${'\xee'.repeat(200)}`],
    ['TLS where it is not spoken', '\x16\x03\x01\x00\x05hello'],
  ])('refuses %s, and goes on', async (_, text) => {
    let handled = 0
    const server = await serve((request, signal) => {
      if (request.path === '/') handled++
      return echo(request, signal)
    })
    const answer = await raw(server, Buffer.from(text, 'latin1'))
    expect(answer).not.toContain('200 OK')
    expect(handled).toBe(0)
    expect((await overHttp2(server, Buffer.from('fine'))).body.toString()).toBe('fine')
  })

  it('does not hear a request that its sender abandons half-way', async () => {
    const heard: number[] = []
    const server = await serve((request, signal) => {
      heard.push(request.body.length)
      return echo(request, signal)
    })
    const socket = connect(portOf(server), '127.0.0.1')
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf')
    const session = connectHttp2(`http://${server.authority}`)
    const stream = session.request({ ':method': 'POST', 'content-length': '100' })
    stream.on('error', () => {})
    await new Promise((resolve) => stream.write('half', resolve))
    await overHttp1(server, Buffer.alloc(7))
    stream.close(constants.NGHTTP2_CANCEL)
    socket.resetAndDestroy()
    await once(stream, 'close')
    session.destroy()
    await overHttp1(server, Buffer.alloc(8))
    expect(heard).toEqual([7, 8])
  })

  it('tells who speaks HTTP to a port with TLS what to do', async () => {
    const server = await serve(echo, { secure: true })
    const reply = await overHttp1(server, Buffer.alloc(10))
    expect(reply.status).toBe(400)
    expect(reply.body.toString()).toBe(`This port speaks TLS: use https://${server.authority}\n`)
  })
})

describe('start and stop', () => {
  it('says which port is in use and what to do', async () => {
    const first = await serve()
    const port = portOf(first)
    const error: unknown = await serve(echo, { port }).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(PortUnavailableError)
    expect(error).toMatchObject({
      code: 'ERR_SHARDWISE_PORT_UNAVAILABLE',
      port,
      host: '127.0.0.1',
      option: 'port',
      message: `Cannot listen on 127.0.0.1:${port} (option \`port\`): it is in use. Stop the process that holds it, or choose another one (0 takes a free port)`,
    })
  })

  it('says so when the host is not of this machine', async () => {
    const server = new HttpServer({ handler: echo, host: '192.0.2.1', port: 0, portOption: 'port' })
    await expect(server.start()).rejects.toThrow('that host is no address of this machine. Use 127.0.0.1')
    await server.stop()
  })

  it('may be stopped before the start, during it, and twice', async () => {
    const before = new HttpServer({ handler: echo, host: '127.0.0.1', port: 0, portOption: 'port' })
    await before.stop()
    await expect(before.start()).rejects.toThrow('stopped')
    const during = new HttpServer({ handler: echo, host: '127.0.0.1', port: 0, portOption: 'port' })
    const started = during.start().then(
      () => 'started',
      () => 'stopped first',
    )
    await during.stop()
    expect(['started', 'stopped first']).toContain(await started)
    await during.stop()
    expect(() => during.authority).toThrow('it is stopped')
  })
})
