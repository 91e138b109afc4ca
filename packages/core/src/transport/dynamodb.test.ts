import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  ConditionalCheckFailedException,
  CreateTableCommand,
  DynamoDBClient,
  GetItemCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ManualClock } from '../clock.js'
import { classifyFailure } from '../service-error.js'
import { connectDynamoDB, type DynamoDBConnection, type DynamoDBConnectionOptions } from './dynamodb.js'

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' }
const internal = { status: 500, body: { __type: 'com.amazonaws.dynamodb.v20120810#InternalServerError', message: 'boom' } }

let server: Server
let endpoint: string
let connections: number
let requests: string[]
let answer: () => { readonly status?: number; readonly body: object } | 'hang'
let onRequest: () => void
let open: DynamoDBConnection[]

beforeEach(async () => {
  connections = 0
  requests = []
  answer = () => ({ body: {} })
  onRequest = () => {}
  open = []
  server = createServer((request, response) => {
    request.resume().on('end', () => {
      requests.push(String(request.headers['x-amz-target']).replace('DynamoDB_20120810.', ''))
      const given = answer()
      if (given !== 'hang') {
        response.writeHead(given.status ?? 200, { 'content-type': 'application/x-amz-json-1.0' }).end(JSON.stringify(given.body))
      }
      onRequest()
    })
  })
  server.on('connection', () => connections++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterEach(async () => {
  for (const connection of open) connection.close()
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
})

function connect(options: DynamoDBConnectionOptions = {}): DynamoDBConnection {
  const place = options.client === undefined ? { region: 'eu-west-1', endpoint, credentials } : {}
  const connection = connectDynamoDB({ ...place, controlRetryBaseMs: 1, ...options })
  open.push(connection)
  return connection
}

const foreign = (): DynamoDBClient =>
  new DynamoDBClient({
    region: 'eu-west-1',
    endpoint,
    credentials,
    maxAttempts: 5,
    requestHandler: new NodeHttpHandler({ httpAgent: { keepAlive: true } }),
  })

const update = () => new UpdateItemCommand({ TableName: 't', Key: { leaseKey: { S: 'a' } } })
const create = () =>
  new CreateTableCommand({
    TableName: 't',
    KeySchema: [{ AttributeName: 'a', KeyType: 'HASH' }],
    AttributeDefinitions: [{ AttributeName: 'a', AttributeType: 'S' }],
  })
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.fail('should have been rejected'),
    (error: unknown) => error,
  )

describe('send', () => {
  test('gives the typed output, over one connection', async () => {
    answer = () => ({ body: { Item: { leaseKey: { S: 'a' } } } })
    const { send } = connect()
    for (let i = 0; i < 3; i++) {
      const output = await send(new GetItemCommand({ TableName: 't', Key: { leaseKey: { S: 'a' } } }))
      expect(output.Item).toEqual({ leaseKey: { S: 'a' } })
    }
    expect(connections).toBe(1)
  })

  test.each([true, false])('makes one attempt (own client: %s)', async (own) => {
    answer = () => internal
    const client = own ? undefined : foreign()
    const error = await failure(connect({ client }).send(update()))
    expect(classifyFailure(error)).toMatchObject({ kind: 'internal', written: 'unknown', message: 'boom' })
    expect(requests).toEqual(['UpdateItem'])
    client?.destroy()
  })

  test('tries a control-plane call again when asked to', async () => {
    answer = () => (requests.length < 3 ? internal : { body: {} })
    await connect().send(create(), { retry: true })
    expect(requests).toEqual(['CreateTable', 'CreateTable', 'CreateTable'])
  })

  test('rejects with the class of the SDK', async () => {
    answer = () => ({
      status: 400,
      body: {
        __type: 'com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException',
        message: 'The conditional request failed',
      },
    })
    const error = await failure(connect().send(update(), { retry: true }))
    expect(error).toBeInstanceOf(ConditionalCheckFailedException)
    expect(requests).toHaveLength(1)
  })

  test('rejects when the signal aborts, and when time is up', async () => {
    answer = () => 'hang'
    const clock = new ManualClock()
    const { send } = connect({ clock, requestTimeoutMs: 500 })
    const controller = new AbortController()
    onRequest = () => controller.abort('stopping')
    const aborted = await failure(send(update(), { signal: controller.signal, retry: true }))
    expect(aborted).toMatchObject({ name: 'AbortError', cause: 'stopping', message: 'UpdateItem was aborted' })
    onRequest = () => clock.advance(500)
    const late = await failure(send(update()))
    expect(classifyFailure(late)).toMatchObject({ kind: 'timeout', written: 'unknown', retryable: true })
    expect(late).toMatchObject({ message: 'UpdateItem had no complete answer within 500 ms' })
    expect(clock.pendingTimers).toBe(0)
  })
})

test('close leaves a client of the user usable', async () => {
  const client = foreign()
  const connection = connectDynamoDB({ client })
  expect(connection.client).toBe(client)
  await connection.send(update())
  connection.close()
  await connection.send(update())
  expect(connections).toBe(1)
  client.destroy()
})

test('refuses an endpoint beside a client, which has its own', () => {
  const client = foreign()
  expect(() => connectDynamoDB({ client, endpoint: 'http://127.0.0.1:1' })).toThrow(
    /`endpoint` must be left out where `client` is given/,
  )
  client.destroy()
})

test('refuses an endpoint that is no URL', () => {
  expect(() => connectDynamoDB({ endpoint: 'localhost:8000' })).toThrow(/Option `endpoint` must be a URL/)
})
