import { decodeCbor, encodeCbor } from '@shardwise/core/cbor'
import { ManualClock } from '@shardwise/core/clock'
import { beforeEach, describe, expect, it } from 'vitest'
import { FaultControl } from './faults.js'
import type { WireAnswer, WireHandler } from './http-exchange.js'
import { kinesisHandler } from './kinesis-http.js'
import { KinesisModelError } from './model/index.js'

const JSON_1_1 = 'application/x-amz-json-1.1'
const CBOR_1_1 = 'application/x-amz-cbor-1.1'
const arrival = new Date(1_767_225_600_123)

/** Stands for the model: what matters here is what reaches it and how its answer travels. */
let calls: { operation: string; input: unknown }[]
let result: () => object
let handler: WireHandler
let clock: ManualClock

beforeEach(() => {
  calls = []
  result = () => ({})
  clock = new ManualClock({ wallTime: Date.UTC(2026, 1, 3, 4, 5, 6) })
  handler = kinesisHandler({
    clock,
    faults: new FaultControl(clock),
    model: {
      call(operation, input) {
        calls.push({ operation, input })
        return result()
      },
    },
  })
})

async function send(
  operation: string,
  body: string | Uint8Array,
  headers: Record<string, string> = {},
  method = 'POST',
): Promise<WireAnswer> {
  const answer = await handler(
    {
      method,
      path: '/',
      headers: { 'content-type': JSON_1_1, 'x-amz-target': `Kinesis_20131202.${operation}`, ...headers },
      body: Buffer.from(body),
    },
    new AbortController().signal,
  )
  if (answer === 'drop' || 'chunks' in answer) throw new Error('no plain answer')
  return answer
}

const json = (answer: WireAnswer): unknown => JSON.parse(Buffer.from(answer.body).toString())
const cbor = { 'content-type': CBOR_1_1 }

describe('AWS JSON 1.1', () => {
  it('reads base64 and seconds, writes them back', async () => {
    result = () => ({
      Records: [
        { Data: Buffer.from('ABC'), PartitionKey: '"é\u2028', ApproximateArrivalTimestamp: arrival, SequenceNumber: '1' },
      ],
      MillisBehindLatest: 0,
      NextShardIterator: undefined,
    })
    const answer = await send('GetRecords', '{"ShardIterator":"it","Limit":5}')
    expect(calls).toEqual([{ operation: 'GetRecords', input: { ShardIterator: 'it', Limit: 5 } }])
    expect(answer.status).toBe(200)
    expect(json(answer)).toEqual({
      Records: [{ Data: 'QUJD', PartitionKey: '"é\u2028', ApproximateArrivalTimestamp: 1_767_225_600.123, SequenceNumber: '1' }],
      MillisBehindLatest: 0,
    })
    expect(answer.headers).toMatchObject({ 'content-type': JSON_1_1, date: 'Tue, 03 Feb 2026 04:05:06 GMT' })
    expect(answer.headers['x-amzn-requestid']).toMatch(/^[\da-f-]{36}$/)
  })

  it.each([
    ['PutRecord', '{"Data":"QUJD","PartitionKey":"k"}', { Data: Buffer.from('ABC'), PartitionKey: 'k' }],
    [
      'PutRecords',
      '{"Records":[{"Data":"QQ=="},{"Data":""},{}]}',
      { Records: [{ Data: Buffer.from('A') }, { Data: Buffer.alloc(0) }, {}] },
    ],
    ['PutRecords', '{"Records":"no list"}', { Records: 'no list' }],
    ['GetShardIterator', '{"Timestamp":1767225600.123}', { Timestamp: arrival }],
    ['GetShardIterator', '{"Timestamp":null}', { Timestamp: null }],
    [
      'ListShards',
      '{"StreamCreationTimestamp":1767225600.123,"ShardFilter":{"Type":"AT_TIMESTAMP","Timestamp":0}}',
      { StreamCreationTimestamp: arrival, ShardFilter: { Type: 'AT_TIMESTAMP', Timestamp: new Date(0) } },
    ],
    ['AddTagsToStream', '{"Tags":{"Data":"not bytes","Timestamp":"5"}}', { Tags: { Data: 'not bytes', Timestamp: '5' } }],
  ])('reads the input of %s: %s', async (operation, body, input) => {
    expect((await send(operation, body)).status).toBe(200)
    expect(calls).toEqual([{ operation, input }])
  })

  it('keeps every millisecond of a timestamp, which seconds with a fraction miss by a hair', async () => {
    for (let ms = 0; ms < 1000; ms++) await send('GetShardIterator', JSON.stringify({ Timestamp: (1000 + ms) / 1000 }))
    expect(calls.map(({ input }) => (input as { Timestamp: Date }).Timestamp.getTime() - 1000)).toEqual(
      Array.from({ length: 1000 }, (_, ms) => ms),
    )
  })

  it('has an empty body where there is no output', async () => {
    expect((await send('CreateStream', '{}')).body).toHaveLength(0)
  })

  it('keeps members called __proto__', async () => {
    result = () => ({ Tags: JSON.parse('{"__proto__":"x"}') })
    expect(Buffer.from((await send('ListTagsForResource', '{}')).body).toString()).toBe('{"Tags":{"__proto__":"x"}}')
  })
})

describe('CBOR 1.1', () => {
  it.each([
    ['PutRecord', { Data: Buffer.from('ABC'), PartitionKey: 'k' }],
    ['PutRecords', { Records: [{ Data: Buffer.alloc(300, 7), PartitionKey: 'k' }] }],
    ['GetShardIterator', { ShardId: 's', Timestamp: arrival }],
  ])('reads the input of %s', async (operation, input) => {
    const answer = await send(operation, encodeCbor(input), cbor)
    expect(answer.status).toBe(200)
    expect(answer.headers['content-type']).toBe(CBOR_1_1)
    expect(calls).toEqual([{ operation, input }])
  })

  it('takes a bare number for a timestamp: milliseconds', async () => {
    await send('GetShardIterator', encodeCbor({ Timestamp: arrival.getTime() }), cbor)
    expect(calls[0]?.input).toEqual({ Timestamp: arrival })
  })

  it('takes maps and arrays of indefinite length, as Java writes them', async () => {
    await send('PutRecords', Buffer.from('bf675265636f7264739fbf64446174614141ffffff', 'hex'), cbor)
    expect(calls[0]?.input).toEqual({ Records: [{ Data: Buffer.from('A') }] })
  })

  it('writes bytes as bytes and timestamps as tag 1 around whole milliseconds', async () => {
    result = () => ({ Data: Buffer.from('A'), ApproximateArrivalTimestamp: arrival })
    const { body } = await send('GetRecords', encodeCbor({}), cbor)
    const hex = Buffer.from(body).toString('hex')
    expect(hex).toContain('644461746141' + '41')
    expect(hex).toContain(`c11b${arrival.getTime().toString(16).padStart(16, '0')}`)
    expect(decodeCbor(body)).toEqual({ Data: Buffer.from('A'), ApproximateArrivalTimestamp: arrival })
  })

  it('says errors in CBOR too', async () => {
    const answer = await send('PutRecords', Buffer.from('ff', 'hex'), cbor)
    expect(answer.status).toBe(400)
    expect(decodeCbor(answer.body)).toMatchObject({ __type: 'SerializationException' })
  })
})

describe('refusals', () => {
  it.each([
    ['an empty body', 'PutRecords', '', 'The request body is not JSON'],
    ['half an object', 'PutRecords', '{"Records":[', 'The request body is not JSON'],
    ['a list', 'PutRecords', '[]', 'must be an object with the members of PutRecords, got an array'],
    ['null', 'PutRecords', 'null', 'must be an object with the members of PutRecords, got null'],
    ['a number', 'ListStreams', '5', 'must be an object with the members of ListStreams, got 5'],
    ['Data without padding', 'PutRecord', '{"Data":"QQ"}', 'Data must be base64 text (standard alphabet, padded), got "QQ"'],
    ['Data that is no text', 'PutRecord', '{"Data":5}', 'Data must be base64 text (standard alphabet, padded), got 5'],
    ['one bad entry', 'PutRecords', '{"Records":[{"Data":""},{"Data":"Q-=="}]}', 'Records[1].Data must be base64 text'],
    ['an entry that is none', 'PutRecords', '{"Records":[null]}', 'Records[0] must be an object, got null'],
    [
      'a timestamp that is text',
      'GetShardIterator',
      '{"Timestamp":"now"}',
      'Timestamp must be a number of seconds since the epoch, got "now"',
    ],
    [
      'a timestamp out of range',
      'ListShards',
      '{"ShardFilter":{"Timestamp":1e300}}',
      'ShardFilter.Timestamp must be a number of seconds',
    ],
  ])('%s is a SerializationException', async (_, operation, body, message) => {
    const answer = await send(operation, body)
    expect(answer.status).toBe(400)
    expect(json(answer)).toMatchObject({ __type: 'SerializationException', message: expect.stringContaining(message) })
    expect(calls).toEqual([])
  })

  it.each([
    ['Data that is text', { Data: 'QUJD' }, 'Data must be a byte string, got "QUJD"'],
    ['a timestamp that is none', { Timestamp: 'now' }, 'Timestamp must be milliseconds since the epoch, got "now"'],
    ['a timestamp that is not finite', { Timestamp: Number.POSITIVE_INFINITY }, 'Timestamp must be milliseconds since the epoch'],
  ])('%s in CBOR is one as well', async (_, input, message) => {
    const answer = await send('Timestamp' in input ? 'GetShardIterator' : 'PutRecord', encodeCbor(input), cbor)
    expect(decodeCbor(answer.body)).toMatchObject({ __type: 'SerializationException', message: expect.stringContaining(message) })
  })

  it.each<[string, Record<string, string>, string, number]>([
    ['another service', { 'x-amz-target': 'DynamoDB_20120810.Scan' }, 'POST', 400],
    ['no operation', { 'x-amz-target': 'Kinesis_20131202.' }, 'POST', 400],
    ['another content type', { 'content-type': 'text/xml' }, 'POST', 404],
    ['another method', {}, 'GET', 404],
  ])('%s is an UnknownOperationException', async (_, headers, method, status) => {
    const answer = await send('ListStreams', '{}', headers, method)
    expect(answer.status).toBe(status)
    expect(json(answer)).toMatchObject({ __type: 'UnknownOperationException' })
  })

  it.each(['__proto__', 'constructor', 'toString'])('%s is left to the model to refuse, like any name', async (name) => {
    expect((await send(name, '{}')).status).toBe(200)
    expect(calls).toEqual([{ operation: name, input: {} }])
  })

  it("passes the model's refusals on: name, status, message", async () => {
    result = () => {
      throw new KinesisModelError('ResourceNotFoundException', 'Stream s under account 0 not found.', 400)
    }
    const answer = await send('DescribeStream', '{}')
    expect(answer.status).toBe(400)
    expect(json(answer)).toEqual({ __type: 'ResourceNotFoundException', message: 'Stream s under account 0 not found.' })
  })

  it('owns up to a fault of its own', async () => {
    result = () => {
      throw new TypeError('x is not a function')
    }
    const answer = await send('DescribeStream', '{}')
    expect(answer.status).toBe(500)
    expect(json(answer)).toMatchObject({ __type: 'InternalFailure', message: expect.stringContaining('x is not a function') })
  })
})
