import { spawn } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { type ClientHttp2Stream, constants } from 'node:http2'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ManualClock } from '../clock.js'
import type { FanOutPort, ShardSubscription, SubscribeToShardInput } from '../fan-out-port.js'
import { classifyFailure } from '../service-error.js'
import { connectionError } from './http2-fault.js'
import { Http2Session, IDLE_MS, MOST_SILENCES, MOST_STREAMS, SILENCE_MS, STREAM_WINDOW_BYTES } from './http2-session.js'
import { Http2Sessions } from './http2-sessions.js'
import { connectKinesis, type KinesisConnection, type KinesisConnectionOptions } from './kinesis-connection.js'
import { EventStreamService, type ReceivedRequest } from './testing/event-stream-service.js'
import { FRAME, RawHttp2Peer } from './testing/raw-http2-peer.js'

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' }
const shard = (index: number): SubscribeToShardInput => ({
  ConsumerARN: 'arn:aws:kinesis:eu-west-1:123456789012:stream/s/consumer/c:1',
  ShardId: `shardId-${String(index).padStart(12, '0')}`,
  StartingPosition: { Type: 'LATEST' },
})

let service: EventStreamService
let endpoint: string
let connections: KinesisConnection[]
let clock: ManualClock

beforeEach(async () => {
  service = new EventStreamService()
  endpoint = await service.start()
  connections = []
  clock = new ManualClock()
})

afterEach(async () => {
  for (const made of connections) made.close()
  await service.stop()
  expect(clock.pendingTimers).toBe(0)
})

function connection(options: KinesisConnectionOptions = {}): KinesisConnection {
  const made = connectKinesis({ region: 'eu-west-1', endpoint, credentials, clock, ...options })
  connections.push(made)
  return made
}

const connect = (options: KinesisConnectionOptions = {}): FanOutPort => connection(options).fanOut
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.fail('should have been rejected'),
    (error: unknown) => error,
  )
const subscribed = (fanOut: FanOutPort, count: number): Promise<ShardSubscription[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => fanOut.subscribeToShard(shard(index))))

async function serve(options: ConstructorParameters<typeof EventStreamService>[0]): Promise<void> {
  await service.stop()
  service = new EventStreamService(options)
  endpoint = await service.start()
}

describe('how many', () => {
  test('200 subscriptions share two sessions', async () => {
    const subscriptions = await subscribed(connect(), 200)
    expect(service.sessions).toHaveLength(2)
    service.requests.forEach((request, index) => void request.event({ MillisBehindLatest: index }))
    const shards = service.requests.map(({ input }) => Number(String(input.ShardId).slice(8)))
    for (const [index, at] of shards.entries()) {
      expect(await subscriptions[at]?.next()).toEqual({ MillisBehindLatest: index })
    }
  })

  test('no more than the peer allows on each', async () => {
    await serve({ settings: { maxConcurrentStreams: 10 } })
    await subscribed(connect(), 45)
    expect(service.sessions).toHaveLength(5)
    const perSession = service.sessions.map((session) => service.requests.filter((request) => request.session === session).length)
    expect(perSession).toEqual([10, 10, 10, 10, 5])
  })

  test('a place that has become free is taken, and a session that has no streams is closed after a while', async () => {
    await serve({ settings: { maxConcurrentStreams: 2 } })
    const fanOut = connect()
    const subscriptions = await subscribed(fanOut, 3)
    subscriptions[0]?.close()
    await service.requests[0]?.closed
    await fanOut.subscribeToShard(shard(3))
    expect(service.requests.map(({ session }) => service.sessions.indexOf(session))).toEqual([0, 0, 1, 0])
    subscriptions[2]?.close()
    await service.requests[2]?.closed
    const closed = once(service.sessions[1]!, 'close')
    await clock.advanceAsync(0)
    for (let at = 0; at < IDLE_MS; at += SILENCE_MS) {
      for (const request of service.requests) if (!request.stream.closed) request.event({ MillisBehindLatest: 0 })
      await clock.advanceAsync(SILENCE_MS)
    }
    await closed
    expect(service.sessions[0]?.closed).toBe(false)
  })

  test('a peer that allows none is told of, and not asked without end', async () => {
    await serve({ settings: { maxConcurrentStreams: 0 } })
    const failed = classifyFailure(await failure(connect().subscribeToShard(shard(0))))
    expect(failed).toMatchObject({ kind: 'connection', retryable: true, message: expect.stringContaining('no stream') as string })
    expect(service.sessions).toHaveLength(1)
  })

  test('a place that becomes free goes to who waits for another connection', async () => {
    const peer = new RawHttp2Peer()
    const place = await peer.start()
    peer.onConnection = (accepted) => {
      if (peer.connections.length === 1) accepted.settings(1)
    }
    peer.onFrame = (from, { type, stream }) => type === FRAME.headers && from.accept(stream)
    const fanOut = connect({ endpoint: place })
    const [first] = await subscribed(fanOut, 1)
    const secondConnects = peer.connected(2)
    const second = fanOut.subscribeToShard(shard(1))
    await secondConnects
    first?.close()
    await second
    expect(peer.connections.map(({ frames }) => frames.filter(({ type }) => type === FRAME.headers).length)).toEqual([2, 0])
    await peer.stop()
  })

  test('settings that change hold from then on', async () => {
    const fanOut = connect()
    await fanOut.subscribeToShard(shard(0))
    const session = service.sessions[0]!
    await new Promise<void>((resolve) => session.settings({ maxConcurrentStreams: 1 }, () => resolve()))
    await fanOut.subscribeToShard(shard(1))
    expect(service.requests.map((request) => service.sessions.indexOf(request.session))).toEqual([0, 1])
    await new Promise<void>((resolve) => session.settings({ maxConcurrentStreams: 3 }, () => resolve()))
    await subscribed(fanOut, 2)
    expect(service.requests.map((request) => service.sessions.indexOf(request.session))).toEqual([0, 1, 0, 0])
  })
})

describe('a session that dies', () => {
  test('fails its streams and is replaced', async () => {
    const fanOut = connect()
    const subscriptions = await subscribed(fanOut, 3)
    const pending = subscriptions.map((subscription) => failure(subscription.next()))
    service.cut()
    for (const error of pending) expect(classifyFailure(await error)).toMatchObject({ kind: 'connection', retryable: true })
    const again = await fanOut.subscribeToShard(shard(0))
    service.requests[3]?.event({ MillisBehindLatest: 1 })
    expect(await again.next()).toEqual({ MillisBehindLatest: 1 })
    expect(service.sessions).toHaveLength(2)
  })

  test('gives nobody who waits for room the room of its broken streams', async () => {
    const peer = new RawHttp2Peer()
    const place = await peer.start()
    peer.onConnection = (accepted) => {
      if (peer.connections.length === 1) accepted.settings(1)
    }
    peer.onFrame = (from, { type, stream }) => type === FRAME.headers && from.accept(stream)
    const fanOut = connect({ endpoint: place })
    const [first] = await subscribed(fanOut, 1)
    const secondConnects = peer.connected(2)
    const second = fanOut.subscribeToShard(shard(1))
    await secondConnects
    const broken = failure(first!.next())
    peer.connections[0]?.socket.resetAndDestroy()
    await broken
    peer.connections[1]?.settings(1)
    await second
    expect(peer.connections.map(({ frames }) => frames.filter(({ type }) => type === FRAME.headers).length)).toEqual([1, 1])
    await peer.stop()
  })

  test('is not kept, whichever way it came to its end', async () => {
    const sessions = new Http2Sessions({ clock, connectTimeoutMs: 1_000, tls: () => ({}) })
    const seek = (url: string): Promise<ClientHttp2Stream> =>
      new Promise((resolve, reject) => {
        const begin = (session: Http2Session): void => {
          const stream = session.request({ ':path': '/', ':method': 'POST' }, '{}')
          stream.on('error', () => {})
          resolve(stream)
        }
        sessions.seek(new URL(url), { begin, fail: reject })
      })
    for (const end of ['cut', 'goaway'] as const) {
      const stream = await seek(endpoint)
      const over = new Promise<void>((resolve) => void stream.once('close', resolve))
      await service.request(service.requests.length)
      expect(sessions.count).toBe(1)
      if (end === 'cut') service.cut()
      else service.sessions.at(-1)?.goaway(constants.NGHTTP2_INTERNAL_ERROR)
      await over
      // The session follows its streams.
      while (sessions.count > 0) await clock.advanceAsync(0)
    }
    await failure(seek('http://127.0.0.1:1'))
    expect(sessions.count).toBe(0)
  })

  test('of a GOAWAY with an error fails its streams, too', async () => {
    const fanOut = connect()
    const [subscription] = await subscribed(fanOut, 1)
    const pending = failure(subscription!.next())
    service.sessions[0]?.goaway(constants.NGHTTP2_INTERNAL_ERROR)
    const failed = classifyFailure(await pending)
    expect(failed).toMatchObject({ kind: 'connection', retryable: true })
    expect(failed.advice).toContain(`at ${endpoint.replace('http://', '')} broke`)
    await fanOut.subscribeToShard(shard(0))
    expect(service.sessions).toHaveLength(2)
  })

  test('of a GOAWAY in peace that has not taken a stream fails that one', async () => {
    const peer = new RawHttp2Peer()
    const place = await peer.start()
    peer.onFrame = (from, { type, stream }) => {
      if (type !== FRAME.headers) return
      if (peer.connections.length === 1) from.goaway(0, constants.NGHTTP2_NO_ERROR)
      else from.accept(stream)
    }
    const fanOut = connect({ endpoint: place })
    const failed = classifyFailure(await failure(fanOut.subscribeToShard(shard(0))))
    expect(failed).toMatchObject({ kind: 'connection', retryable: true, message: expect.stringContaining('REFUSED') as string })
    await fanOut.subscribeToShard(shard(0))
    expect(peer.connections).toHaveLength(2)
    await peer.stop()
  })

  test('takes no new streams after a GOAWAY in peace, and keeps those that it has', async () => {
    const fanOut = connect()
    const [subscription] = await subscribed(fanOut, 1)
    service.sessions[0]?.goaway(constants.NGHTTP2_NO_ERROR)
    service.requests[0]?.event({ MillisBehindLatest: 1 })
    expect(await subscription?.next()).toEqual({ MillisBehindLatest: 1 })
    await fanOut.subscribeToShard(shard(1))
    expect(service.sessions).toHaveLength(2)
    service.requests[0]?.event({ MillisBehindLatest: 2 })
    expect(await subscription?.next()).toEqual({ MillisBehindLatest: 2 })
    const closed = once(service.sessions[0]!, 'close')
    subscription?.close()
    await closed
  })

  test('after a GOAWAY in peace is closed with the connection', async () => {
    const made = connection()
    const [subscription] = await subscribed(made.fanOut, 1)
    service.sessions[0]?.goaway(constants.NGHTTP2_NO_ERROR)
    service.requests[0]?.event({ MillisBehindLatest: 1 })
    await subscription?.next()
    const error = failure(subscription!.next())
    made.close()
    expect(await error).toMatchObject({ name: 'AbortError' })
    expect(await service.requests[0]?.closed).toBe(constants.NGHTTP2_CANCEL)
  })

  test('is one that has been silent and answers no ping', async () => {
    const peer = new RawHttp2Peer()
    const place = await peer.start()
    peer.onFrame = (from, { type, stream }) => type === FRAME.headers && from.accept(stream)
    const [subscription] = await subscribed(connect({ endpoint: place }), 1)
    const error = failure(subscription!.next())
    for (let silences = 0; silences <= MOST_SILENCES; silences++) await clock.advanceAsync(SILENCE_MS)
    const failed = classifyFailure(await error)
    expect(failed).toMatchObject({ kind: 'connection', retryable: true, message: expect.stringContaining('ping') as string })
    expect(peer.connections[0]?.frames.filter(({ type }) => type === FRAME.ping).length).toBeGreaterThan(1)
    await peer.stop()
  })

  test('is not one that answers its pings', async () => {
    const [subscription] = await subscribed(connect(), 1)
    let pings = 0
    service.sessions[0]?.on('ping', () => pings++)
    for (let silences = 0; silences < MOST_SILENCES * 5; silences++) {
      await clock.advanceAsync(SILENCE_MS)
      // A ping and its acknowledgement are turns of the event loop away, on this machine.
      for (let turns = 0; turns < 20; turns++) await clock.advanceAsync(0)
    }
    expect(pings).toBeGreaterThanOrEqual(MOST_SILENCES * 2)
    service.requests[0]?.event({ MillisBehindLatest: 1 })
    expect(await subscription?.next()).toEqual({ MillisBehindLatest: 1 })
  })
})

describe('connecting', () => {
  test('to a peer that accepts and says nothing: fails in time', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const accepted = once(silent, 'connection')
    const place = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
    const pending = [0, 1].map((index) =>
      failure(connect({ endpoint: place, connectTimeoutMs: 700 }).subscribeToShard(shard(index))),
    )
    await accepted
    await clock.advanceAsync(700)
    for (const error of pending) {
      expect(classifyFailure(await error)).toMatchObject({ kind: 'timeout', retryable: true, written: 'no' })
    }
    silent.close()
  })

  test('and closed, or broken, in the moment in which it is established: ends as any other does', async () => {
    const thrown: unknown[] = []
    const onThrown = (error: unknown): void => void thrown.push(error)
    process.on('uncaughtException', onThrown)
    const made = connection()
    // Node tells of the connection one tick after it was established.
    const onSocket = (message: unknown): void =>
      void (message as { socket: Socket }).socket.once('connect', () => process.nextTick(() => made.close()))
    subscribe('net.client.socket', onSocket)
    const error = await failure(made.fanOut.subscribeToShard(shard(0)))
    unsubscribe('net.client.socket', onSocket)
    for (let turns = 0; turns < 20; turns++) await clock.advanceAsync(0)
    process.off('uncaughtException', onThrown)
    expect(error).toMatchObject({ name: 'AbortError' })
    expect(thrown).toEqual([])
  })

  test('to nobody: says where, and tries again when asked to', async () => {
    await service.stop()
    const fanOut = connect()
    const failed = classifyFailure(await failure(fanOut.subscribeToShard(shard(0))))
    expect(failed).toMatchObject({ kind: 'connection', code: 'ECONNREFUSED', retryable: true, written: 'no' })
    expect(failed.advice).toContain(`at ${endpoint.replace('http://', '')}`)
    service = new EventStreamService()
    await service.start(Number(new URL(endpoint).port))
    await fanOut.subscribeToShard(shard(0))
    expect(service.requests).toHaveLength(1)
  })

  test('says where as it is written, also with IPv6', () => {
    const options = { clock, connectTimeoutMs: 1000, tls: () => ({}) }
    const session = Http2Session.open(new URL('http://[::1]:9'), options, { onRoom: () => {}, onOver: () => {} })
    const failed = classifyFailure(connectionError(session.place, 'reset'))
    expect(failed.advice).toContain('at [::1]:9 broke')
    session.destroy()
  })

  test('to a server that speaks HTTP/1.1 alone: says so', async () => {
    const old = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')).listen(0, '127.0.0.1')
    await once(old, 'listening')
    const place = `http://127.0.0.1:${(old.address() as AddressInfo).port}`
    const failed = classifyFailure(await failure(connect({ endpoint: place }).subscribeToShard(shard(0))))
    expect(failed).toMatchObject({ kind: 'connection', retryable: true })
    expect(failed.advice).toContain('does not speak the expected protocol')
    old.close()
  })
})

describe('a reader that stands still', () => {
  const event = { Records: [{ SequenceNumber: '1', PartitionKey: 'k', Data: Buffer.alloc(100_000, 'x') }] }

  /** Sends events without end, as far as the client lets it. */
  function flood(request: ReceivedRequest): void {
    const message = request.message({ ':message-type': 'event', ':event-type': 'SubscribeToShardEvent' }, event)
    const more = (): void => {
      while (!request.stream.closed && request.stream.write(message)) {}
    }
    request.stream.on('drain', more)
    more()
  }

  /** All that the client lets the service send is sent when pings are all that is. */
  async function flooded(atLeast: number): Promise<number> {
    const session = service.sessions[0]!
    let sent = 0
    for (let quiet = 0; quiet < 5; quiet++) {
      await new Promise<void>((resolve) => void session.ping(() => resolve()))
      if (service.bytesWritten - sent > 1_000 || sent < atLeast) quiet = 0
      sent = service.bytesWritten
    }
    return sent
  }

  for (const reads of ['json', 'cbor'] as const) {
    test(`is sent its window and no more, and an event for each that it takes: ${reads}`, async () => {
      const fanOut = connect({ wire: { reads } })
      service.onRequest = (request) => flood(request.accept())
      const [subscription] = await subscribed(fanOut, 1)
      const size = service.requests[0]!.message({}, event).length
      // What Node's stream takes in before it stops reading, and answers to pings.
      const besides = 160_000
      expect(await flooded(STREAM_WINDOW_BYTES)).toBeLessThan(STREAM_WINDOW_BYTES + besides)
      for (let taken = 0; taken < 20; taken++) {
        expect((await subscription?.next())?.Records?.[0]?.Data?.length).toBe(event.Records[0]?.Data.length)
      }
      expect(await flooded(20 * size)).toBeLessThan(20 * size + STREAM_WINDOW_BYTES + besides)
    })
  }

  test('does not hold up the others on its session, not even when all others stand still', async () => {
    const fanOut = connect()
    service.onRequest = (request) => flood(request.accept())
    const subscriptions = await subscribed(fanOut, MOST_STREAMS)
    expect(service.sessions).toHaveLength(1)
    await flooded((MOST_STREAMS - 1) * STREAM_WINDOW_BYTES)
    const reader = subscriptions.at(-1)
    for (let taken = 0; taken < 200; taken++) expect((await reader?.next())?.Records).toHaveLength(1)
    expect((await subscriptions[0]?.next())?.Records).toHaveLength(1)
  })
})

describe('close, abort and time', () => {
  const moments = ['before', 'while it connects', 'before the answer', 'while events are awaited', 'with events unread'] as const
  for (const moment of moments) {
    for (const how of ['abort', 'close the connection'] as const) {
      test(`${how} ${moment}`, async () => {
        const made = connection()
        const controller = new AbortController()
        const stop = (): void => (how === 'abort' ? controller.abort(new Error('lease lost')) : made.close())
        if (moment === 'before the answer') service.onRequest = () => {}
        if (moment === 'before') stop()
        const call = made.fanOut.subscribeToShard(shard(0), { signal: controller.signal })
        if (moment === 'before' || moment === 'while it connects' || moment === 'before the answer') {
          const error = failure(call)
          if (moment === 'before the answer') await service.request(0)
          if (moment === 'while it connects') for (let turns = 0; turns < 3; turns++) await Promise.resolve()
          stop()
          expect(classifyFailure(await error).kind).toBe('aborted')
        } else {
          const subscription = await call
          const request = await service.request(0)
          if (moment === 'with events unread') {
            request.event({ MillisBehindLatest: 1 })
            request.event({ MillisBehindLatest: 2 })
            await subscription.next()
          }
          const error = failure(subscription.next().then(() => subscription.next()))
          if (moment === 'with events unread') await Promise.resolve()
          stop()
          expect(await error).toMatchObject(how === 'abort' ? { message: 'lease lost' } : { name: 'AbortError' })
        }
        for (const request of service.requests) expect(await request.closed).toBe(constants.NGHTTP2_CANCEL)
      })
    }
  }

  for (const how of ['abort', 'time limit'] as const) {
    test(`${how} while the peer has not said how many streams it allows: nothing is sent when it does`, async () => {
      const peer = new RawHttp2Peer()
      peer.onConnection = () => {}
      peer.onFrame = (from, { type, stream }) => type === FRAME.headers && from.accept(stream)
      const fanOut = connect({ endpoint: await peer.start() })
      const controller = new AbortController()
      const connects = peer.connected(1)
      const given = failure(fanOut.subscribeToShard(shard(0), { signal: controller.signal, timeoutMs: 1_000 }))
      const other = fanOut.subscribeToShard(shard(1))
      await connects
      if (how === 'abort') controller.abort()
      else clock.advance(1_000)
      expect(classifyFailure(await given).kind).toBe(how === 'abort' ? 'aborted' : 'timeout')
      peer.connections[0]?.settings()
      await other
      expect(peer.connections[0]?.frames.filter(({ type }) => type === FRAME.headers)).toHaveLength(1)
      await peer.stop()
    })
  }

  test('close(): undefined from then on, and the service is told at once, whatever was unread', async () => {
    const subscriptions = await subscribed(connect(), 3)
    const [idle, waiting, unread] = subscriptions
    const pending = waiting?.next()
    service.requests[2]?.event({ MillisBehindLatest: 1 })
    service.requests[2]?.event({ MillisBehindLatest: 2 })
    await unread?.next()
    for (const subscription of subscriptions) {
      subscription.close()
      subscription.close()
      expect(await subscription.next()).toBeUndefined()
    }
    expect(await pending).toBeUndefined()
    expect(await idle?.next()).toBeUndefined()
    for (const request of service.requests) expect(await request.closed).toBe(constants.NGHTTP2_CANCEL)
  })

  test('close() gives the place on the session back, also when the service had ended the stream and its end is unread', async () => {
    await serve({ settings: { maxConcurrentStreams: 1 } })
    service.onRequest = (request) => {
      request.accept()
      for (let event = 0; event < 5; event++) request.event({ MillisBehindLatest: event })
      request.stream.end()
    }
    const fanOut = connect()
    for (let times = 0; times < 3; times++) {
      const subscription = await fanOut.subscribeToShard(shard(times))
      await subscription.next()
      // All of it has arrived when the answer to a ping behind it has.
      await new Promise<void>((resolve) => void service.sessions[0]?.ping(() => resolve()))
      subscription.close()
      await clock.advanceAsync(0)
    }
    expect(service.sessions).toHaveLength(1)
  })

  test('no answer in time', async () => {
    service.onRequest = () => {}
    const error = failure(connect().subscribeToShard(shard(0), { timeoutMs: 1234 }))
    const request = await service.request(0)
    clock.advance(1234)
    expect(classifyFailure(await error)).toMatchObject({ kind: 'timeout', retryable: true })
    expect(await request.closed).toBe(constants.NGHTTP2_CANCEL)
  })

  test('the time limit is one for the answer: the subscription outlives it', async () => {
    const [subscription] = await subscribed(connect({ requestTimeoutMs: 1000 }), 1)
    await clock.advanceAsync(3000)
    service.requests[0]?.event({ MillisBehindLatest: 1 })
    expect(await subscription?.next()).toEqual({ MillisBehindLatest: 1 })
  })

  test('a signal that outlives its subscriptions keeps none of them', async () => {
    const { signal } = new AbortController()
    let listeners = 0
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...given: Parameters<typeof add>) => {
      listeners++
      add(...given)
    }
    signal.removeEventListener = (...given: Parameters<typeof remove>) => {
      listeners--
      remove(...given)
    }
    const fanOut = connect()
    const [ended, broken, closed] = await Promise.all([0, 1, 2].map((at) => fanOut.subscribeToShard(shard(at), { signal })))
    expect(listeners).toBe(3)
    const [first, second] = [ended?.next(), failure(broken!.next())]
    service.requests[0]?.stream.end()
    service.requests[1]?.exception('InternalFailureException', {})
    closed?.close()
    await Promise.all([first, second])
    expect(listeners).toBe(0)
  })
})

describe('the process', () => {
  const run = async (body: string, place = endpoint): Promise<unknown[]> => {
    const script = `import { connectKinesis } from '@shardwise/core/transport'
      const { fanOut, close } = connectKinesis({ region: 'x', endpoint: '${place}', connectTimeoutMs: 600_000, credentials: { accessKeyId: 'a', secretAccessKey: 'b' } })
      const input = ${JSON.stringify(shard(0))}
      ${body}`
    const args = ['--import', 'tsx', '-C', 'shardwise-source', '--input-type=module', '-e', script]
    const cwd = new URL('../..', import.meta.url)
    return await once(spawn(process.execPath, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] }), 'exit')
  }

  test('ends when subscriptions are closed, though nobody closed the connection', async () => {
    expect(await run(';(await fanOut.subscribeToShard(input)).close()')).toEqual([0, null])
  })

  test('lives while a subscription does', async () => {
    service.onRequest = (request) => {
      request.accept()
      request.stream.end()
    }
    expect(await run('await (await fanOut.subscribeToShard(input)).next(); process.exitCode = 7')).toEqual([7, null])
  })

  test('ends when a connection with live subscriptions is closed', async () => {
    expect(await run('await fanOut.subscribeToShard(input); close()')).toEqual([0, null])
  })

  test('does not wait for a connection that nobody awaits any more', async () => {
    const peer = new RawHttp2Peer()
    const place = await peer.start()
    peer.onConnection = ({ socket }) => void socket.once('data', () => socket.write('')) // and no SETTINGS
    const body = `const waiting = fanOut.subscribeToShard(input, { timeoutMs: 500 })
      await waiting.catch((error) => { process.exitCode = error.name === 'TimeoutError' ? 7 : 1 })`
    expect(await run(body, place)).toEqual([7, null])
    await peer.stop()
  })
})
