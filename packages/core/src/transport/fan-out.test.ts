import { constants } from 'node:http2'
import { Agent } from 'node:https'
import { KinesisClient, ResourceInUseException } from '@aws-sdk/client-kinesis'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { FanOutPort, SubscribeToShardEvent } from '../fan-out-port.js'
import { classifyFailure } from '../service-error.js'
import { connectKinesis, type KinesisConnection, type KinesisConnectionOptions } from './kinesis-connection.js'
import { EventStreamService, encodeMessage } from './testing/event-stream-service.js'
import { FRAME, RawHttp2Peer } from './testing/raw-http2-peer.js'

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' }
const input = {
  ConsumerARN: 'arn:aws:kinesis:eu-west-1:123456789012:stream/s/consumer/c:1',
  ShardId: 'shardId-000000000000',
  StartingPosition: { Type: 'LATEST' },
} as const

let service: EventStreamService
let endpoint: string
let connections: KinesisConnection[]

beforeEach(async () => {
  service = new EventStreamService()
  endpoint = await service.start()
  connections = []
})

afterEach(async () => {
  for (const connection of connections) connection.close()
  await service.stop()
})

function connection(options: KinesisConnectionOptions = {}): KinesisConnection {
  const place = options.client === undefined ? { region: 'eu-west-1', endpoint, credentials } : {}
  const made = connectKinesis({ ...place, controlRetryBaseMs: 1, ...options })
  connections.push(made)
  return made
}

const connect = (options: KinesisConnectionOptions = {}): FanOutPort => connection(options).fanOut

function foreign(): KinesisClient {
  const requestHandler = new NodeHttpHandler({ httpAgent: { keepAlive: true } })
  return new KinesisClient({ region: 'eu-west-1', endpoint, credentials, maxAttempts: 5, requestHandler })
}

/** A connection that knows that the endpoint speaks CBOR. */
async function negotiated(): Promise<KinesisConnection> {
  const made = connection()
  await made.port.listShards({ StreamName: 's' })
  return made
}

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.fail('should have been rejected'),
    (error: unknown) => error,
  )

describe('a subscription', () => {
  const record = {
    SequenceNumber: '17',
    PartitionKey: 'ключ',
    Data: Buffer.from([0, 255, 128]),
    ApproximateArrivalTimestamp: new Date(1_700_000_000_123),
  }
  const event: SubscribeToShardEvent = { Records: [record], ContinuationSequenceNumber: '17', MillisBehindLatest: 5 }

  for (const reads of ['json', 'cbor'] as const) {
    test(`may arrive in any pieces: ${reads}`, async () => {
      service.onRequest = () => {}
      const subscription = connect({ wire: { reads } }).subscribeToShard(input)
      const request = (await service.request(0)).accept()
      const bytes = request.message({ ':message-type': 'event', ':event-type': 'SubscribeToShardEvent' }, event)
      const { stream } = request
      const next = (await subscription).next()
      for (let at = 0; at < bytes.length; at += 7) {
        const flushed = new Promise((resolve) => stream.write(bytes.subarray(at, at + 7), resolve))
        await flushed
      }
      expect(await next).toEqual(event)
      stream.end(Buffer.concat([bytes, bytes, bytes]))
      const live = await subscription
      expect([await live.next(), await live.next(), await live.next(), await live.next()]).toEqual([
        event,
        event,
        event,
        undefined,
      ])
    })

    test(`gives the events as they are sent, and undefined when the service ends it: ${reads}`, async () => {
      service.onRequest = (request) => {
        request.accept()
        request.event(event)
        request.event({ Records: [], ContinuationSequenceNumber: '18', MillisBehindLatest: 0 })
        request.stream.end()
      }
      const subscription = await connect({ wire: { reads } }).subscribeToShard(input)
      expect(await subscription.next()).toEqual(event)
      expect(await subscription.next()).toEqual({ Records: [], ContinuationSequenceNumber: '18', MillisBehindLatest: 0 })
      expect(await subscription.next()).toBeUndefined()
      expect(await subscription.next()).toBeUndefined()
      expect(service.requests.map((request) => [request.input, request.cbor])).toEqual([[input, reads === 'cbor']])
      expect(service.requests[0]?.headers).toMatchObject({
        ':authority': endpoint.replace('http://', ''),
        'x-amz-target': 'Kinesis_20131202.SubscribeToShard',
        authorization: expect.stringMatching(/\/eu-west-1\/kinesis\/.*SignedHeaders=[^,]*host/) as string,
      })
    })
  }
})

describe('what ends a subscription', () => {
  const shard = { MillisBehindLatest: 1 }

  for (const reads of ['json', 'cbor'] as const) {
    for (const name of [
      'ResourceInUseException',
      'InternalFailureException',
      'KMSThrottlingException',
      'NewlyInventedException',
    ]) {
      test(`${name} in the stream (${reads})`, async () => {
        service.onRequest = (request) => {
          request.accept()
          request.event(shard)
          request.exception(name, { message: 'for this reason' })
        }
        const subscription = await connect({ wire: { reads } }).subscribeToShard(input)
        expect(await subscription.next()).toEqual(shard)
        expect(await failure(subscription.next())).toMatchObject({
          name,
          message: 'for this reason',
          $fault: name.startsWith('Internal') ? 'server' : 'client',
          $metadata: { httpStatusCode: 200, requestId: 'request-7' },
        })
        expect(await failure(subscription.next())).toMatchObject({ name })
      })
    }
  }

  for (const [payload, message] of [
    ['', 'ResourceInUseException'],
    ['words', 'words'],
    ['{"Message":"taken"}', 'taken'],
    ['{"message":7}', 'ResourceInUseException'],
  ] as const) {
    test(`an exception keeps its name with the payload ${JSON.stringify(payload)}`, async () => {
      const headers = { ':message-type': 'exception', ':exception-type': 'ResourceInUseException' }
      service.onRequest = (request) => void request.accept().stream.end(encodeMessage(headers, payload))
      const error = await failure((await connect().subscribeToShard(input)).next())
      expect(error).toMatchObject({ name: 'ResourceInUseException', message })
      expect(classifyFailure(error).kind).toBe('in-use')
    })
  }

  test('an error that is in no model', async () => {
    service.onRequest = (request) => {
      const headers = { ':message-type': 'error', ':error-code': 'InternalError', ':error-message': 'it broke' }
      request.accept().stream.end(encodeMessage(headers, ''))
    }
    const subscription = await connect().subscribeToShard(input)
    const error = await failure(subscription.next())
    expect(error).toMatchObject({ name: 'InternalError', message: 'it broke' })
    expect(classifyFailure(error)).toMatchObject({ kind: 'internal', retryable: true })
  })

  test('not an event of a kind that is not known', async () => {
    service.onRequest = (request) => {
      request.accept().stream.write(encodeMessage({ ':message-type': 'event', ':event-type': 'Weather' }, 'no JSON'))
      request.event(shard)
    }
    expect(await (await connect().subscribeToShard(input)).next()).toEqual(shard)
  })

  const good = encodeMessage({ ':message-type': 'event', ':event-type': 'SubscribeToShardEvent' }, '{"MillisBehindLatest":1}')
  const changed = (at: number): Buffer => {
    const bytes = Buffer.from(good)
    bytes[at]! ^= 1
    return bytes
  }
  const noJson = encodeMessage({ ':message-type': 'event', ':event-type': 'SubscribeToShardEvent' }, '{"Records":[')
  const damaged: [string, Buffer, string, number][] = [
    ['a length that was changed', changed(2), 'internal', 8],
    ['a length of headers that was changed', changed(7), 'internal', 8],
    ['headers that were changed', changed(14), 'internal', 8],
    ['a payload that was changed', changed(good.length - 6), 'internal', 8],
    ['a CRC that was changed', changed(good.length - 1), 'internal', 8],
    ['a payload that is not JSON', noJson, 'internal', 8],
    ['an end in the middle of a payload', good.subarray(0, -9), 'connection', 0],
    ['an end in the middle of a prelude', good.subarray(0, 5), 'connection', 0],
  ]
  for (const [what, bytes, kind, rstCode] of damaged) {
    test(what, async () => {
      service.onRequest = (request) => {
        request.accept().stream.write(good)
        request.stream.write(bytes)
        if (kind === 'connection') request.stream.end()
        else request.stream.write(good)
      }
      const subscription = await connect({ wire: { reads: 'json' } }).subscribeToShard(input)
      expect(await subscription.next()).toEqual(shard)
      const error = await failure(subscription.next())
      expect(classifyFailure(error)).toMatchObject({ kind, retryable: true })
      // It is over then, and the service is told.
      expect(await failure(subscription.next())).toBe(error)
      expect(await service.requests[0]?.closed).toBe(rstCode)
    })
  }

  for (const code of [constants.NGHTTP2_CANCEL, constants.NGHTTP2_INTERNAL_ERROR, constants.NGHTTP2_REFUSED_STREAM]) {
    test(`a stream that the peer resets with ${code}, before its answer or later`, async () => {
      const peer = new RawHttp2Peer()
      const place = await peer.start()
      const fanOut = connect({ endpoint: place })
      peer.onFrame = (from, { type, stream }) => type === FRAME.headers && from.reset(stream, code)
      const refused = classifyFailure(await failure(fanOut.subscribeToShard(input)))
      peer.onFrame = (from, { type, stream }) => type === FRAME.headers && from.accept(stream)
      const subscription = await fanOut.subscribeToShard(input)
      peer.connections[0]?.send(FRAME.data, 3, good)
      expect(await subscription.next()).toEqual(shard)
      peer.connections[0]?.reset(3, code)
      const broken = classifyFailure(await failure(subscription.next()))
      for (const failed of [refused, broken]) {
        expect(failed).toMatchObject({ kind: 'connection', retryable: true })
        expect(failed.advice).toContain(`at ${place.replace('http://', '')} broke: try again`)
      }
      expect(peer.connections).toHaveLength(1)
      await peer.stop()
    })
  }
})

describe('one attempt', () => {
  const refusals: [number, string, string][] = [
    [400, 'ResourceInUseException', 'in-use'],
    [400, 'LimitExceededException', 'limit-exceeded'],
    [400, 'ResourceNotFoundException', 'not-found'],
    [500, 'InternalFailure', 'internal'],
    [503, 'ServiceUnavailable', 'internal'],
  ]
  for (const who of ['our client', 'a client of the user'] as const) {
    for (const [status, name, kind] of refusals) {
      test(`${who}: ${name}`, async () => {
        service.onRequest = (request) => request.refuse(status, { __type: `com.amazonaws.kinesis#${name}`, message: 'no' })
        const client = who === 'our client' ? undefined : foreign()
        const error = await failure(connect({ client }).subscribeToShard(input))
        expect(error).toMatchObject({ name, message: 'no', $metadata: { httpStatusCode: status, requestId: 'request-8' } })
        expect(classifyFailure(error).kind).toBe(kind)
        if (name === 'ResourceInUseException') expect(error).toBeInstanceOf(ResourceInUseException)
        expect(service.requests).toHaveLength(1)
        client?.destroy()
      })
    }
  }

  test('an answer that is not of the service is read to a limit and no further', async () => {
    service.onRequest = ({ stream }) => {
      stream.respond({ ':status': 502, 'content-type': 'text/html' })
      const more = (): void => {
        while (!stream.closed && stream.write(Buffer.alloc(65_536, 'x'))) {}
      }
      stream.on('drain', more)
      more()
    }
    expect(classifyFailure(await failure(connect().subscribeToShard(input)))).toMatchObject({ kind: 'internal', retryable: true })
    expect(await service.requests[0]?.closed).toBe(constants.NGHTTP2_CANCEL)
  })
})

test('the host that a middleware of the user has had signed is the authority', async () => {
  const client = foreign()
  client.middlewareStack.add(
    (next) => (args) => {
      const { headers } = args.request as { headers: Record<string, string> }
      headers.host = 'kinesis.example:8443'
      return next(args)
    },
    { step: 'build', priority: 'low', name: 'otherHost' },
  )
  await connect({ client }).subscribeToShard(input)
  const { headers } = service.requests[0]!
  expect(headers[':authority']).toBe('kinesis.example:8443')
  expect(headers).not.toHaveProperty('host')
  client.destroy()
})

test('TLS settings that Node refuses fail each subscription, and no other waits for them', async () => {
  const requestHandler = new NodeHttpHandler({ httpsAgent: new Agent({ cert: 'nonsense', key: 'nonsense' }) })
  const place = { region: 'eu-west-1', endpoint: endpoint.replace('http:', 'https:'), credentials }
  const client = new KinesisClient({ ...place, maxAttempts: 1, requestHandler })
  const { port, fanOut } = connection({ client, controlAttempts: 1 })
  // With its first call the handler makes up its settings.
  expect(await failure(port.listShards({ StreamName: 's' }))).toMatchObject({ code: expect.stringMatching(/PEM/) as string })
  for (let times = 0; times < 2; times++) {
    expect(await failure(fanOut.subscribeToShard(input))).toMatchObject({ code: expect.stringMatching(/PEM/) as string })
  }
  client.destroy()
})

describe('the encoding', () => {
  test('CBOR that is refused: again in JSON, and JSON from then on', async () => {
    service.onRequest = (request) => {
      if (request.cbor) request.refuse(415, {})
      else request.accept().event({ MillisBehindLatest: 1 })
    }
    const { fanOut } = await negotiated()
    expect(await (await fanOut.subscribeToShard(input)).next()).toEqual({ MillisBehindLatest: 1 })
    await fanOut.subscribeToShard(input)
    expect(service.requests.map(({ cbor }) => cbor)).toEqual([true, false, false])
  })

  test('events that cannot be decoded: the next subscription asks for JSON', async () => {
    service.onRequest = (request) => {
      const headers = { ':message-type': 'event', ':event-type': 'SubscribeToShardEvent' }
      if (request.cbor) request.accept().stream.write(encodeMessage(headers, Buffer.from([0xa1, 0xff])))
      else request.accept().event({ MillisBehindLatest: 1 })
    }
    const { fanOut } = await negotiated()
    const error = await failure((await fanOut.subscribeToShard(input)).next())
    expect(classifyFailure(error)).toMatchObject({ kind: 'internal', retryable: true })
    expect(await (await fanOut.subscribeToShard(input)).next()).toEqual({ MillisBehindLatest: 1 })
    expect(service.requests.map(({ cbor }) => cbor)).toEqual([true, false])
  })

  test('is JSON until a control call was answered in CBOR', async () => {
    await connect().subscribeToShard(input)
    const { fanOut } = await negotiated()
    await fanOut.subscribeToShard(input)
    expect(service.requests.map(({ cbor }) => cbor)).toEqual([false, true])
  })
})

describe('registering and describing', () => {
  const created = new Date(1_700_000_000_123)
  const consumer = { ConsumerName: 'c', ConsumerARN: input.ConsumerARN, ConsumerStatus: 'ACTIVE' }
  const name = { StreamARN: 'arn:aws:kinesis:eu-west-1:123456789012:stream/s', ConsumerName: 'c' }

  for (const encoding of ['json', 'cbor'] as const) {
    test(`have dates, over HTTP/1.1: ${encoding}`, async () => {
      const described = { ...consumer, ConsumerCreationTimestamp: encoding === 'cbor' ? created : created.getTime() / 1000 }
      service.onCall = (operation) => ({
        body: operation === 'RegisterStreamConsumer' ? { Consumer: described } : { ConsumerDescription: described },
      })
      const fanOut = connect({ wire: { reads: encoding, writes: encoding } })
      const expected = { ...consumer, ConsumerCreationTimestamp: created }
      expect((await fanOut.registerStreamConsumer(name)).Consumer).toEqual(expected)
      expect((await fanOut.describeStreamConsumer(name)).ConsumerDescription).toEqual(expected)
      expect(service.calls).toEqual([`RegisterStreamConsumer:${encoding}`, `DescribeStreamConsumer:${encoding}`])
      expect(service.sessions).toHaveLength(0)
    })
  }

  test('a consumer that exists is told at once, other failures are tried again', async () => {
    const answers = [
      { status: 400, body: { __type: 'LimitExceededException' } },
      { status: 500, body: { __type: 'InternalFailure' } },
      { status: 400, body: { __type: 'ResourceInUseException' } },
    ]
    service.onCall = () => answers[service.calls.length - 1] ?? { body: {} }
    const error = await failure(connect().registerStreamConsumer(name))
    expect(error).toBeInstanceOf(ResourceInUseException)
    expect(service.calls).toHaveLength(3)
    answers.push({ status: 500, body: { __type: 'InternalFailure' } })
    await connect().describeStreamConsumer(name)
    expect(service.calls).toHaveLength(5)
  })
})
