import { type EventEmitter, once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import type { WireHandler } from './http-exchange.js'
import { BrokenOff, type WireChunks } from './http-push.js'
import { HttpServer } from './http-server.js'

const cleanUp: (() => void | Promise<void>)[] = []

afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step()
})

async function serve(chunksFor: (path: string) => WireChunks): Promise<HttpServer> {
  const handler: WireHandler = async ({ path }) =>
    path === '/plain'
      ? { status: 200, headers: {}, body: Buffer.from('plain') }
      : { status: 200, headers: { 'content-type': 'text/x' }, chunks: chunksFor(path) }
  const server = new HttpServer({ handler, host: '127.0.0.1', port: 0, portOption: 'port' })
  cleanUp.push(() => server.stop())
  await server.start()
  return server
}

function session(server: HttpServer): ClientHttp2Session {
  const opened = connect(`http://${server.authority}`)
  opened.on('error', () => {})
  cleanUp.push(() => opened.destroy())
  return opened
}

function overHttp1(server: HttpServer, path = '/'): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => get(`http://${server.authority}${path}`, resolve).on('error', reject))
}

/** Gives these, then whatever the last one says for ever; counts how often it was asked and closed. */
class Listed implements WireChunks {
  readonly #chunks: (() => Promise<Uint8Array | undefined>)[]
  readonly closed: Promise<void>
  asked = 0
  closes = 0
  #close = (): void => {}

  constructor(...chunks: (() => Promise<Uint8Array | undefined>)[]) {
    this.#chunks = chunks
    this.closed = new Promise((resolve) => {
      this.#close = resolve
    })
  }

  next(): Promise<Uint8Array | undefined> {
    return this.#chunks[Math.min(this.asked++, this.#chunks.length - 1)]!()
  }

  close(): void {
    this.closes++
    this.#close()
  }
}

/** Unlike `once`, whatever error comes before. */
function closed(emitter: EventEmitter): Promise<void> {
  return new Promise((resolve) => emitter.once('close', () => resolve()))
}

const bytes = (content: string) => async () => Buffer.from(content)
const end = async () => undefined
const never = () => new Promise<undefined>(() => {})
const breaks = (scope: BrokenOff['scope']) => async () => {
  throw new BrokenOff(scope)
}

describe('a pushed answer', () => {
  it('comes in chunks without a length, over both versions, and ends', async () => {
    const all: Listed[] = []
    const server = await serve(() => {
      const chunks = new Listed(bytes('one,'), bytes('two'), end)
      all.push(chunks)
      return chunks
    })
    const answer = await overHttp1(server)
    expect(answer.headers).toMatchObject({ 'content-type': 'text/x', 'transfer-encoding': 'chunked' })
    expect(await text(answer)).toBe('one,two')
    const stream = session(server).request({ ':path': '/' })
    const [headers] = await once(stream, 'response')
    expect(headers).toMatchObject({ ':status': 200, 'content-type': 'text/x' })
    expect(headers).not.toHaveProperty('content-length')
    expect(await text(stream)).toBe('one,two')
    for (const chunks of all) expect(chunks.closes).toBeGreaterThan(0)
  })

  it('comes at once, though nothing follows', async () => {
    const server = await serve(() => new Listed(bytes('first'), never))
    const [one] = await once(await overHttp1(server), 'data')
    const [two] = await once(session(server).request({ ':path': '/' }), 'data')
    expect([one, two].map(String)).toEqual(['first', 'first'])
  })

  it('asks for no more than a client takes that does not read', async () => {
    const large = Buffer.alloc(16 * 1024 * 1024)
    const all: Listed[] = []
    const server = await serve(() => {
      // In a turn of its own, so that asking without end would not keep the test from noticing.
      const chunks = new Listed(() => new Promise((resolve) => setImmediate(resolve, large)))
      all.push(chunks)
      return chunks
    })
    const answer = await overHttp1(server)
    answer.pause()
    const client = session(server)
    const stream = client.request({ ':path': '/' })
    await once(stream, 'response')
    stream.pause()
    // Other answers on the same connections and on others come all the same.
    for (let i = 0; i < 3; i++) {
      expect(await text(client.request({ ':path': '/plain' }))).toBe('plain')
      expect(await text(await overHttp1(server, '/plain'))).toBe('plain')
    }
    expect(all.map(({ asked }) => asked)).toEqual([1, 1])
    // Who reads on is sent the next one.
    let received = 0
    stream.on('data', (chunk: Buffer) => {
      received += chunk.length
      if (received > large.length) stream.destroy()
    })
    stream.resume()
    await all[1]!.closed
    expect(all.map(({ asked }) => asked)).toEqual([1, 2])
  })

  it.each<[string, (server: HttpServer) => Promise<() => void>]>([
    [
      'whose connection is lost, HTTP/1.1',
      async (server) => {
        const answer = await overHttp1(server)
        await once(answer, 'data')
        return () => answer.destroy()
      },
    ],
    [
      'whose connection is lost, HTTP/2',
      async (server) => {
        const client = session(server)
        await once(client.request({ ':path': '/' }), 'data')
        return () => client.destroy()
      },
    ],
    [
      'who resets its stream',
      async (server) => {
        const stream = session(server).request({ ':path': '/' })
        await once(stream, 'data')
        return () => stream.close(constants.NGHTTP2_CANCEL)
      },
    ],
  ])('is closed with a client %s', async (_, begin) => {
    const chunks = new Listed(bytes('first'), never)
    const leave = await begin(await serve(() => chunks))
    expect(chunks.closes).toBe(0)
    leave()
    await chunks.closed
  })

  it('is closed when the client left before it began', async () => {
    let begun = (): void => {}
    const asked = new Promise<void>((resolve) => {
      begun = resolve
    })
    let answer = (): void => {}
    const held = new Promise<void>((resolve) => {
      answer = resolve
    })
    const chunks = new Listed(bytes('first'), never)
    const server = new HttpServer({
      handler: async () => {
        begun()
        await held
        return { status: 200, headers: {}, chunks }
      },
      host: '127.0.0.1',
      port: 0,
      portOption: 'port',
    })
    cleanUp.push(() => server.stop())
    await server.start()
    const client = session(server)
    const stream = client.request({ ':path': '/' })
    stream.on('error', () => {})
    await asked
    stream.close(constants.NGHTTP2_CANCEL)
    // A round trip, so that the server knows.
    await new Promise<void>((resolve) => client.ping(() => resolve()))
    answer()
    await chunks.closed
    expect(chunks.asked).toBe(0)
  })

  it('is closed when the server stops', async () => {
    const chunks = new Listed(bytes('first'), never)
    const server = await serve(() => chunks)
    const answer = await overHttp1(server)
    answer.on('error', () => {})
    await once(answer, 'data')
    await server.stop()
    await chunks.closed
  })
})

describe('an answer that breaks off', () => {
  const code = async (stream: ClientHttp2Stream): Promise<string | undefined> => {
    const [error] = (await once(stream, 'error')) as [NodeJS.ErrnoException]
    return error.message
  }

  it('takes only its own stream with it, or the connection', async () => {
    const other = new Listed(bytes('first'), never)
    const server = await serve((path) =>
      path === '/other' ? other : new Listed(bytes('x'), breaks(path === '/stream' ? 'stream' : 'connection')),
    )
    const client = session(server)
    const beside = client.request({ ':path': '/other' })
    const besideClosed = closed(beside)
    await once(beside, 'data')
    const alone = client.request({ ':path': '/stream' })
    alone.resume()
    expect(await code(alone)).toMatch(/NGHTTP2_INTERNAL_ERROR/)
    expect(await text(client.request({ ':path': '/plain' }))).toBe('plain')
    expect(other.closes).toBe(0)
    beside.on('error', () => {})
    const breaking = client.request({ ':path': '/connection' })
    breaking.on('error', () => {})
    breaking.resume()
    await Promise.all([other.closed, besideClosed, closed(client)])
  })

  it.each(['/stream', '/connection'])('takes the connection with it over HTTP/1.1: %s', async (path) => {
    const server = await serve(() => new Listed(bytes('x'), breaks(path === '/stream' ? 'stream' : 'connection')))
    // It may be lost before the answer's head is out.
    await expect(overHttp1(server, path).then(text)).rejects.toThrow(/aborted|hang up|ECONNRESET/)
  })
})
