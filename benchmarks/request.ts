import { isDeepStrictEqual } from 'node:util'
import { DynamoDBClient, UpdateItemCommand, type UpdateItemCommandInput } from '@aws-sdk/client-dynamodb'
import { KinesisClient } from '@aws-sdk/client-kinesis'
import type { KinesisPort, PutRecordsInput } from '@shardwise/core/kinesis-port'
import { connectKinesis, type SenderChoice } from '@shardwise/core/transport'
import { connectDynamoDB } from '@shardwise/core/transport/dynamodb'
import { type Benchmark, type Benchmarks, WrongResult } from './rounds.js'

const ACCOUNT = { region: 'us-east-1', credentials: { accessKeyId: 'key', secretAccessKey: 'secret' } }
const JSON_TYPE = 'application/x-amz-json-1.1'
const SEQUENCE_NUMBER = '49590338271490256608559692538361571095921575989136588898'

/** A call, the answer to it, and whether it was sent and answered right. */
interface Course {
  readonly answer: object
  /** By a client that is sent through, or not. The client's middleware calls `bySdk`. */
  connected(requestHandler: never, sender: SenderChoice, bySdk: () => void): () => Promise<unknown>
  isRight(sent: string, output: unknown): boolean
}

/** What a call costs this process, but for the connection: from the input to the signed request, and from the answer's bytes to the output. */
export const request: Benchmarks = {
  'request-put-small': () => benchmark(puts(6, 2048)),
  'request-put-500': () => benchmark(puts(500, 100)),
  'request-get-empty': () => benchmark(emptyGets()),
  'request-renew': () => benchmark(renewals()),
}

const MICROSECONDS = { name: 'us/call', of: (ns: number) => ns / 1000 }
const CALLS = 200

function benchmark(course: Course): Benchmark {
  return {
    unit: MICROSECONDS,
    operations: CALLS,
    prepare: () => {},
    variants: [variant('lean', 'lean', course), variant('stock SDK client', 'sdk', course)],
  }
}

function variant(name: string, sender: SenderChoice, course: Course) {
  let sent: Uint8Array | undefined
  const body = Buffer.from(JSON.stringify(course.answer))
  const requestHandler = {
    metadata: { handlerProtocol: 'http/1.1' },
    handle: async (request: { readonly body: string | Uint8Array }) => {
      sent = typeof request.body === 'string' ? Buffer.from(request.body) : request.body
      return { response: { statusCode: 200, headers: { 'content-type': JSON_TYPE, 'x-amzn-requestid': '1' }, body } }
    },
  }
  let bySdk = 0
  // The SDK's type of a handler wants what none of these calls uses.
  const call = course.connected(requestHandler as never, sender, () => bySdk++)
  const run = async (): Promise<number> => {
    let bytes = 0
    for (let i = 0; i < CALLS; i++) {
      await call()
      bytes += sent!.length
    }
    return bytes
  }
  const verify = async (): Promise<number> => {
    const output = await call()
    if (!course.isRight(Buffer.from(sent!.buffer, sent!.byteOffset, sent!.length).toString(), output))
      throw new WrongResult(`${name} sent or returned something else`)
    const before = bySdk
    const fingerprint = await run()
    const expected = sender === 'lean' ? 0 : CALLS
    if (bySdk - before !== expected) throw new WrongResult(`${name}: ${bySdk - before} of ${CALLS} calls were made by the SDK`)
    return fingerprint
  }
  return { name, run, verify }
}

function ofKinesis(call: (port: KinesisPort) => Promise<unknown>): Course['connected'] {
  return (requestHandler, sender, bySdk) => {
    const client = new KinesisClient({ ...ACCOUNT, requestHandler })
    client.middlewareStack.add((next) => (args) => [bySdk(), next(args)][1] as ReturnType<typeof next>, { step: 'initialize' })
    const { port } = connectKinesis({ client, sender })
    return () => call(port)
  }
}

function puts(records: number, bytes: number): Course {
  const data = Buffer.alloc(bytes, 'd')
  const keys = Array.from({ length: records }, (_, i) => `key ${String(i).padStart(12, '0')}`)
  const input: PutRecordsInput = { StreamName: 'benchmark', Records: keys.map((PartitionKey) => ({ Data: data, PartitionKey })) }
  const results = keys.map((_, i) => ({
    SequenceNumber: SEQUENCE_NUMBER,
    ShardId: `shardId-${String(i % 64).padStart(12, '0')}`,
  }))
  return {
    answer: { FailedRecordCount: 0, Records: results },
    connected: ofKinesis((port) => port.putRecords(input)),
    isRight: (sent, output) => {
      const { StreamName, Records } = JSON.parse(sent) as {
        StreamName: string
        Records: { Data: string; PartitionKey: string }[]
      }
      const { Records: found } = output as { readonly Records: typeof results }
      return (
        StreamName === 'benchmark' &&
        Records.every(({ Data, PartitionKey }, i) => PartitionKey === keys[i] && data.equals(Buffer.from(Data, 'base64'))) &&
        [Records.length, found.length].every((length) => length === records) &&
        found.every(({ ShardId, SequenceNumber }, i) => ShardId === results[i]!.ShardId && SequenceNumber === SEQUENCE_NUMBER)
      )
    },
  }
}

/** What a consumer asks all the time where nothing is written. */
function emptyGets(): Course {
  const iterator = 'A'.repeat(224)
  const answer = { Records: [], NextShardIterator: 'B'.repeat(224), MillisBehindLatest: 0 }
  return {
    answer,
    connected: ofKinesis((port) => port.getRecords({ ShardIterator: iterator, Limit: 10_000 })),
    isRight: (sent, output) => {
      const { ShardIterator, Limit } = JSON.parse(sent) as { readonly ShardIterator: string; readonly Limit: number }
      const { NextShardIterator, Records } = output as Partial<typeof answer>
      return (
        ShardIterator === iterator && Limit === 10_000 && NextShardIterator === answer.NextShardIterator && Records?.length === 0
      )
    },
  }
}

/** As a lease is renewed, and the row that comes back. */
function renewals(): Course {
  const owner = 'ip-10-0-0-1.eu-central-1.compute.internal-0123456789abcdef'
  const Key = { leaseKey: { S: 'shardId-000000000000' } }
  const input: UpdateItemCommandInput = {
    ...{ TableName: 'benchmark', Key, ReturnValues: 'ALL_NEW', ReturnValuesOnConditionCheckFailure: 'ALL_OLD' },
    UpdateExpression: 'SET #leaseCounter = :leaseCounter',
    ConditionExpression: '#leaseCounter = :was AND (#checkpointOwner = :owner OR #leaseOwner = :owner)',
    ExpressionAttributeNames: {
      '#leaseCounter': 'leaseCounter',
      '#checkpointOwner': 'checkpointOwner',
      '#leaseOwner': 'leaseOwner',
    },
    ExpressionAttributeValues: { ':leaseCounter': { N: '8' }, ':was': { N: '7' }, ':owner': { S: owner } },
  }
  const row = {
    ...{ ...Key, entityType: { S: 'LEASE' }, leaseOwner: { S: owner }, swOwner: { S: owner }, leaseCounter: { N: '8' } },
    ...{ swStream: { S: 'arn:aws:kinesis:us-east-1:123456789012:stream/benchmark' }, ownerSwitchesSinceCheckpoint: { N: '0' } },
    ...{ checkpoint: { S: SEQUENCE_NUMBER }, checkpointSubSequenceNumber: { N: '0' }, startingHashKey: { S: '0' } },
    ...{ endingHashKey: { S: '340282366920938463463374607431768211455' }, parentShardId: { SS: ['shardId-000000000001'] } },
  }
  return {
    answer: { Attributes: row },
    connected: (requestHandler, sender, bySdk) => {
      const client = new DynamoDBClient({ ...ACCOUNT, requestHandler })
      client.middlewareStack.add((next) => (args) => [bySdk(), next(args)][1] as ReturnType<typeof next>, { step: 'initialize' })
      const { send } = connectDynamoDB({ client, sender })
      return () => send(new UpdateItemCommand(input))
    },
    isRight: (sent, output) =>
      isDeepStrictEqual(JSON.parse(sent), input) &&
      isDeepStrictEqual((output as { readonly Attributes: object }).Attributes, row),
  }
}
