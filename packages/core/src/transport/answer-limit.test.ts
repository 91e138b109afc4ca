import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { ScanCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb'
import { KinesisClient } from '@aws-sdk/client-kinesis'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { KinesisPort } from '../kinesis-port.js'
import { classifyFailure } from '../service-error.js'
import { connectDynamoDB } from './dynamodb.js'
import { connectKinesis, type KinesisConnectionOptions } from './kinesis-connection.js'
import { RawHttpStub } from './testing/raw-http-stub.js'

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' }
const MOST = 2048
const TYPE = 'application/x-amz-json-1.1'

let stub: RawHttpStub
let place: { readonly region: string; readonly endpoint: string; readonly credentials: typeof credentials }

beforeEach(async () => {
  stub = new RawHttpStub()
  place = { region: 'eu-west-1', endpoint: await stub.start(), credentials }
})

afterEach(() => stub[Symbol.asyncDispose]())

function kinesis(options: KinesisConnectionOptions, call: (port: KinesisPort) => Promise<unknown>): () => Promise<unknown> {
  const own = options.client === undefined ? place : {}
  const { port, close } = connectKinesis({
    ...own,
    controlAttempts: 1,
    maxAnswerBytes: MOST,
    wire: { reads: 'json' },
    ...options,
  })
  onTestFinished(close)
  return () => call(port)
}

function dynamodb(command: () => UpdateItemCommand | ScanCommand): () => Promise<unknown> {
  const { send, close } = connectDynamoDB({ ...place, maxAnswerBytes: MOST })
  onTestFinished(close)
  return () => {
    const fresh = command()
    return fresh instanceof ScanCommand ? send(fresh) : send(fresh)
  }
}

function foreign(): KinesisClient {
  const client = new KinesisClient({ ...place, requestHandler: new NodeHttpHandler() })
  onTestFinished(() => client.destroy())
  return client
}

/** An object of so many bytes, not announced. */
function whole(response: ServerResponse, bytes = 2): void {
  response.writeHead(200, { 'content-type': TYPE })
  response.write('{')
  response.end(`${' '.repeat(bytes - 2)}}`)
}

/** Sends on for as long as there is anybody to take it. */
function endless(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'content-type': TYPE })
  const more = (): void => {
    while (!response.destroyed && response.write(' '.repeat(1000))) {}
  }
  response.on('drain', more)
  more()
}

const read = (port: KinesisPort): Promise<unknown> => port.getRecords({ ShardIterator: 'i' })
const list = (port: KinesisPort): Promise<unknown> => port.listShards({ StreamName: 's' })
const put = (port: KinesisPort): Promise<unknown> => port.putRecords({ StreamName: 's', Records: [] })
const ways: [string, () => () => Promise<unknown>][] = [
  ['GetRecords, lean', () => kinesis({}, read)],
  ['PutRecords, lean', () => kinesis({}, put)],
  ['GetRecords by the SDK', () => kinesis({ sender: 'sdk' }, read)],
  ['GetRecords by a client of the user', () => kinesis({ client: foreign() }, read)],
  ['GetRecords by a client of the user, lean', () => kinesis({ client: foreign(), sender: 'lean' }, read)],
  ['ListShards', () => kinesis({}, list)],
  ['UpdateItem, lean', () => dynamodb(() => new UpdateItemCommand({ TableName: 't', Key: { k: { S: 'a' } } }))],
  ['Scan', () => dynamodb(() => new ScanCommand({ TableName: 't' }))],
]

describe.each(ways)('%s', (_way, connect) => {
  let call: () => Promise<unknown>
  beforeEach(async () => {
    call = connect()
    // What the lean sender learns from.
    stub.answer = (response) => whole(response)
    await call()
  })

  test.each([200, 400, 500])('an answer without end (%i) is given up, and its connection closed', async (status) => {
    let closed: Promise<unknown> | undefined
    stub.answer = (response) => {
      closed = once(response, 'close')
      endless(response, status)
    }
    const error = await call().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ name: 'AnswerTooLargeError', message: expect.stringContaining('more than 2048 bytes') })
    if (status === 200) expect(classifyFailure(error)).toMatchObject({ kind: 'internal', retryable: true, written: 'unknown' })
    await closed
    stub.answer = (response) => whole(response)
    await call()
  })

  test('an answer that announces more is given up before it comes', async () => {
    let closed: Promise<unknown> | undefined
    stub.answer = (response) => {
      closed = once(response, 'close')
      response.writeHead(200, { 'content-type': TYPE, 'content-length': MOST + 1 }).write(' '.repeat(MOST + 1))
    }
    await expect(call()).rejects.toMatchObject({ name: 'AnswerTooLargeError' })
    await closed
  })

  test('an answer of just the longest is read', async () => {
    stub.answer = (response) => whole(response, MOST)
    await call()
    stub.answer = (response) => whole(response, MOST + 1)
    await expect(call()).rejects.toThrow('maxAnswerBytes')
  })
})

test.each([0, 1023, 1024 ** 3 + 1])('maxAnswerBytes: %i is refused', (maxAnswerBytes) => {
  expect(() => connectKinesis({ ...place, maxAnswerBytes })).toThrow(/`?maxAnswerBytes`? must/)
  expect(() => connectDynamoDB({ ...place, maxAnswerBytes })).toThrow(/`?maxAnswerBytes`? must/)
})
