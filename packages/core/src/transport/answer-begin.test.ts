import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ServerResponse } from 'node:http'
import { ScanCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb'
import { KinesisClient } from '@aws-sdk/client-kinesis'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { ManualClock, systemClock } from '../clock.js'
import type { CallOptions, KinesisPort } from '../kinesis-port.js'
import { classifyFailure } from '../service-error.js'
import { connectDynamoDB } from './dynamodb.js'
import { connectKinesis, type KinesisConnectionOptions } from './kinesis-connection.js'
import { RawHttpStub } from './testing/raw-http-stub.js'

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' }
const LIMITS = { firstByteTimeoutMs: 50, timeoutMs: 1000 }
type Call = (port: KinesisPort, options?: CallOptions) => Promise<unknown>
const read: Call = (port, options) => port.getRecords({ ShardIterator: 'i' }, options)
const seek: Call = (port, options) =>
  port.getShardIterator({ StreamName: 's', ShardId: 'x', ShardIteratorType: 'TRIM_HORIZON' }, options)
const put: Call = (port, options) => port.putRecords({ StreamName: 's', Records: [] }, options)

let stub: RawHttpStub
let place: { readonly region: string; readonly endpoint: string; readonly credentials: typeof credentials }
let clock: ManualClock

beforeEach(async () => {
  stub = new RawHttpStub()
  place = { region: 'eu-west-1', endpoint: await stub.start(), credentials }
  clock = new ManualClock()
})

afterEach(async () => {
  vi.restoreAllMocks()
  await stub[Symbol.asyncDispose]()
})

function connect(options: KinesisConnectionOptions): KinesisPort {
  const connection = connectKinesis({ ...(options.client === undefined && place), clock, ...options })
  onTestFinished(() => connection.close())
  return connection.port
}

function foreign(): KinesisClient {
  const client = new KinesisClient({ ...place, requestHandler: new NodeHttpHandler() })
  onTestFinished(() => client.destroy())
  return client
}

/** Answers as a service in good order. */
function whole(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' }).end('{}')
}

/** Resolves with what a request would be answered by, which says nothing so far. */
function request(): Promise<ServerResponse> {
  return new Promise((resolve) => {
    stub.answer = resolve
  })
}

/** Where Node tells that the headers of an answer are here. */
const RESPONSE = 'http.client.response.finish'

/** Sends the beginning of an answer, and resolves when it is known at this end. */
async function begin(response: ServerResponse): Promise<void> {
  const begun = new Promise<void>((resolve) => {
    const heard = (): void => {
      unsubscribe(RESPONSE, heard)
      resolve()
    }
    subscribe(RESPONSE, heard)
  })
  response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' }).write('{')
  await begun
  await new Promise(setImmediate)
}

const ways: [string, () => KinesisConnectionOptions, Call, boolean][] = [
  ['GetRecords, lean', () => ({ sender: 'lean' }), read, true],
  ['GetRecords, lean, the first', () => ({ sender: 'lean' }), read, false],
  ['GetRecords by the SDK', () => ({ sender: 'sdk' }), read, false],
  ['GetRecords by a client of the user', () => ({ client: foreign() }), read, false],
  ['GetRecords by a client of the user, lean', () => ({ client: foreign(), sender: 'lean' }), read, true],
  ['GetShardIterator', () => ({}), seek, false],
  ['PutRecords, lean', () => ({}), put, true],
]

describe.each(ways)('%s', (_way, options, call, learned) => {
  let port: KinesisPort
  beforeEach(async () => {
    port = connect({ wire: { reads: 'json' }, ...options() })
    stub.answer = whole
    if (learned) await call(port)
  })

  test('a server that accepts and says nothing is given up as soon as the answer should have begun', async () => {
    const arrived = request()
    const failed = call(port, LIMITS).catch((error: unknown) => error)
    await arrived
    clock.advance(50)
    const error = await failed
    expect(classifyFailure(error)).toMatchObject({ kind: 'timeout', retryable: true, written: 'unknown' })
    expect(error).toMatchObject({ message: expect.stringMatching(/^\w+ had no answer within 50 ms/) })
    expect(clock.pendingTimers).toBe(0)
  })

  test('an answer that trickles has the time of the whole', async () => {
    for (const isComplete of [true, false]) {
      const arrived = request()
      const outcome = call(port, LIMITS).catch((error: unknown) => error)
      const response = await arrived
      clock.advance(49)
      await begin(response)
      clock.advance(950)
      if (isComplete) response.end('}')
      else clock.advance(1)
      const expected = isComplete
        ? { $metadata: {} }
        : { message: expect.stringContaining('had no complete answer within 1000 ms') }
      expect(await outcome).toMatchObject(expected)
      expect(clock.pendingTimers).toBe(0)
    }
  })
})

test('a call of DynamoDB, too', async () => {
  const { send, client } = connectDynamoDB({ ...place, clock, sender: 'lean' })
  onTestFinished(() => client.destroy())
  const update: () => Promise<unknown> = () => send(new UpdateItemCommand({ TableName: 't', Key: { k: { S: 'a' } } }), LIMITS)
  const scan: () => Promise<unknown> = () => send(new ScanCommand({ TableName: 't' }), LIMITS)
  stub.answer = whole
  await update()
  for (const call of [update, scan]) {
    const arrived = request()
    const failed = call().catch((error: unknown) => error)
    await arrived
    clock.advance(50)
    expect(await failed).toMatchObject({ name: 'TimeoutError', message: expect.stringContaining('had no answer within 50 ms') })
  }
})

test('an answer that came while this process stood still is read', async () => {
  const port = connect({ clock: systemClock, wire: { reads: 'json' } })
  stub.answer = whole
  await read(port)
  const arrived = request()
  const outcome = read(port, { firstByteTimeoutMs: 30, timeoutMs: 5000 })
  whole(await arrived)
  const until = systemClock.now() + 60
  while (systemClock.now() < until);
  expect(await outcome).toMatchObject({ $metadata: {} })
})
