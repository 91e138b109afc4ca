import { KinesisClient } from '@aws-sdk/client-kinesis'
import type { KinesisPort, PutRecordsInput } from '@shardwise/core/kinesis-port'
import { connectKinesis } from '@shardwise/core/transport'
import { type Benchmark, type Benchmarks, WrongResult } from './rounds.js'

const ACCOUNT = { region: 'us-east-1', credentials: { accessKeyId: 'key', secretAccessKey: 'secret' } }
const JSON_TYPE = 'application/x-amz-json-1.1'
const SEQUENCE_NUMBER = '49590338271490256608559692538361571095921575989136588898'

/** A call, the answer to it, and whether it was sent and answered right. */
interface Course {
  readonly answer: object
  call(port: KinesisPort): Promise<unknown>
  isRight(sent: string, output: unknown): boolean
}

/** What a call costs this process, but for the connection: from the input to the signed request, and from the answer's bytes to the output. */
export const request: Benchmarks = {
  'request-put-small': () => benchmark(puts(6, 2048)),
  'request-put-500': () => benchmark(puts(500, 100)),
  'request-get-empty': () => benchmark(emptyGets()),
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

function variant(name: string, sender: 'lean' | 'sdk', course: Course) {
  let sent: Uint8Array | undefined
  const body = Buffer.from(JSON.stringify(course.answer))
  const requestHandler = {
    metadata: { handlerProtocol: 'http/1.1' },
    handle: async (request: { readonly body: string | Uint8Array }) => {
      sent = typeof request.body === 'string' ? Buffer.from(request.body) : request.body
      return { response: { statusCode: 200, headers: { 'content-type': JSON_TYPE, 'x-amzn-requestid': '1' }, body } }
    },
  }
  // The SDK's type of a handler wants what none of these calls uses.
  const client = new KinesisClient({ ...ACCOUNT, requestHandler: requestHandler as never })
  let bySdk = 0
  client.middlewareStack.add(
    (next) => (args) => {
      bySdk++
      return next(args)
    },
    { step: 'initialize' },
  )
  const { port } = connectKinesis({ client, sender })
  const run = async (): Promise<number> => {
    let bytes = 0
    for (let i = 0; i < CALLS; i++) {
      await course.call(port)
      bytes += sent!.length
    }
    return bytes
  }
  const verify = async (): Promise<number> => {
    const output = await course.call(port)
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
    call: (port) => port.putRecords(input),
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
    call: (port) => port.getRecords({ ShardIterator: iterator, Limit: 10_000 }),
    isRight: (sent, output) => {
      const { ShardIterator, Limit } = JSON.parse(sent) as { readonly ShardIterator: string; readonly Limit: number }
      const { NextShardIterator, Records } = output as Partial<typeof answer>
      return (
        ShardIterator === iterator && Limit === 10_000 && NextShardIterator === answer.NextShardIterator && Records?.length === 0
      )
    },
  }
}
