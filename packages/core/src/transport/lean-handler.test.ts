import { once } from 'node:events'
import { Agent as HttpAgent, type ServerResponse } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ManualClock } from '../clock.js'
import { classifyFailure } from '../service-error.js'
import { type Exchanged, LeanHandler } from './lean-handler.js'
import type { Attempt } from './one-attempt.js'
import { RawHttpStub } from './testing/raw-http-stub.js'

const CONNECT_TIMEOUT_MS = 700

let stub: RawHttpStub
let clock: ManualClock
let http: HttpAgent
let handler: LeanHandler
let port: number

beforeEach(async () => {
  stub = new RawHttpStub()
  port = Number(new URL(await stub.start()).port)
  clock = new ManualClock()
  http = new HttpAgent({ keepAlive: true, maxSockets: 1 })
  const agents = { http, https: new HttpsAgent({ keepAlive: true }) }
  handler = new LeanHandler({ agents, connectTimeoutMs: CONNECT_TIMEOUT_MS, clock, logger: undefined })
})

afterEach(async () => {
  handler.destroy()
  await stub[Symbol.asyncDispose]()
  expect(clock.pendingTimers).toBe(0)
})

class TestAttempt implements Attempt {
  readonly maxAnswerBytes = 1000
  hasBegun = false
  stopped: Error | undefined
  stop: (why: Error) => void = () => {}
  readonly begun = (): void => {
    this.hasBegun = true
  }

  get signal(): AbortSignal {
    throw new Error('It costs more than the rest of an attempt')
  }

  onStop(act: (why: Error) => void): void {
    this.stop = act
  }
}

function exchange(attempt = new TestAttempt(), body = 'asked'): Promise<Exchanged> {
  const headers = { 'content-type': 'text/plain', 'content-length': String(body.length), host: `127.0.0.1:${port}` }
  const request = { protocol: 'http:', hostname: '127.0.0.1', port, path: '/', method: 'POST', query: {}, headers }
  return handler.exchange({ ...request, body: Buffer.from(body) }, attempt)
}

const failure = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => expect.unreachable(),
    (error: unknown) => error,
  )
const socketOf = (): Socket => Object.values(http.freeSockets).flatMap((free) => free ?? [])[0]!

test('the request comes as it is, and the answer whole', async () => {
  stub.answer = (response) => {
    response.writeHead(418, { 'x-one': '1', 'set-cookie': ['a', 'b'] }).end('an answer')
  }
  const attempt = new TestAttempt()
  const { response, body } = await exchange(attempt)
  expect(stub.requests).toMatchObject([{ method: 'POST', path: '/', body: Buffer.from('asked') }])
  expect(stub.requests[0]!.headers).toMatchObject({ 'content-type': 'text/plain', host: `127.0.0.1:${port}` })
  expect(response).toMatchObject({ statusCode: 418, headers: { 'x-one': '1', 'set-cookie': 'a,b' } })
  expect(body).toEqual({ is: 'whole', bytes: Buffer.from('an answer') })
  expect(attempt.hasBegun).toBe(true)
})

test('one connection serves many, and keeps no listener of them', async () => {
  await exchange()
  const socket = socketOf()
  const listeners = (): number[] => socket.eventNames().map((event) => socket.listenerCount(event))
  const before = listeners()
  for (let i = 0; i < 20; i++) await exchange()
  expect(socketOf()).toBe(socket)
  expect(listeners()).toEqual(before)
})

test('a connection that is not there in time', async () => {
  const arrived = new Promise<ServerResponse>((resolve) => {
    stub.answer = resolve
  })
  const first = exchange()
  const response = await arrived
  const second = failure(exchange())
  await new Promise(setImmediate)
  clock.advance(CONNECT_TIMEOUT_MS)
  const error = await second
  expect(error).toMatchObject({ name: 'TimeoutError', message: expect.stringContaining('did not establish a connection') })
  expect(classifyFailure(error)).toMatchObject({ kind: 'timeout', retryable: true, written: 'no' })
  response.end('late')
  expect((await first).body).toMatchObject({ is: 'whole' })
})

test('a kept connection that the server closes as it is used again fails as with the SDK, and the next call has another', async () => {
  await exchange()
  stub.answer = (response) => response.socket!.destroy()
  const error = await failure(exchange())
  expect(error).toMatchObject({ name: 'TimeoutError', code: 'ECONNRESET' })
  expect(classifyFailure(error)).toMatchObject({ kind: 'connection', retryable: true, written: 'unknown' })
  stub.answer = (response) => response.end()
  expect((await exchange()).response.statusCode).toBe(200)
})

test('nobody listens', async () => {
  await stub[Symbol.asyncDispose]()
  stub = new RawHttpStub()
  expect(classifyFailure(await failure(exchange()))).toMatchObject({ kind: 'connection', code: 'ECONNREFUSED', written: 'no' })
  await stub.start()
})

test.each(['before the answer', 'in its middle'])('stopped %s, it closes the connection', async (when) => {
  const arrived = new Promise<ServerResponse>((resolve) => {
    stub.answer = (response) => {
      if (when === 'in its middle') response.write('some')
      resolve(response)
    }
  })
  const attempt = new TestAttempt()
  const ended = exchange(attempt).catch((error: unknown) => error)
  const response = await arrived
  const closed = once(response, 'close')
  while (attempt.hasBegun !== (when === 'in its middle')) await new Promise(setImmediate)
  const why = new Error('time is up')
  attempt.stop(why)
  await closed
  expect(await ended).toBe(why)
})

test('an answer without end', async () => {
  stub.answer = (response) => void response.write('x'.repeat(2000))
  expect((await exchange()).body).toMatchObject({ is: 'broken', error: { name: 'AnswerTooLargeError' } })
})
