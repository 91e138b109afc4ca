/**
 * Kinesis as far as producers and readers of these benchmarks need it, in a process of its own: it takes everything at once, and hands out
 * answers that were made beforehand. What was put is kept and examined after the time that counts.
 */
import { once } from 'node:events'
import { createServer as createHttp1Server } from 'node:http'
import {
  createServer as createHttp2Server,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { decodeCbor, encodeCbor } from '@shardwise/core/cbor'
import { systemClock } from '@shardwise/core/clock'
import { hashKeyWords, toWords } from '@shardwise/core/hash-key'
import { ShardMap } from '@shardwise/core/shard-map'
import { selfSignedCertificate } from '@shardwise/local/self-signed-certificate'
import { MarkedRecordsCheck } from './marked-records.js'
import { answerQuestions, cpuMs } from './service-process.js'
import { type Answers, answersOf } from './stub-answers.js'
import type { FromStub, StubOptions, ToStub } from './stub-kinesis-process.js'

const STREAM_ARN = 'arn:aws:kinesis:us-east-1:000000000000:stream/benchmark'
const JSON_TYPE = 'application/x-amz-json-1.1'
const CBOR_TYPE = 'application/x-amz-cbor-1.1'

interface PutEntry {
  readonly Data: Uint8Array | string
  readonly PartitionKey: string
  readonly ExplicitHashKey?: string
}

interface Arrived {
  readonly shard: number
  readonly entry: PutEntry
}

interface Answer {
  readonly status?: number
  readonly body: Uint8Array | string
}

/** An error of the service, as JSON. */
class ServiceRefusal extends Error {}

class StubKinesis {
  readonly #shards: readonly { readonly ShardId: string }[]
  readonly #map: ShardMap
  readonly #words = new Uint32Array(4)
  #sequence = 0
  #arrived: Arrived[] = []
  #check = new MarkedRecordsCheck(0, 0)
  #answers: Answers = []
  requests = 0

  constructor(shards: number) {
    const start = (i: number): bigint => (2n ** 128n * BigInt(i)) / BigInt(shards)
    const listing = Array.from({ length: shards }, (_, i) => ({
      ShardId: `shardId-${String(i).padStart(12, '0')}`,
      HashKeyRange: { StartingHashKey: String(start(i)), EndingHashKey: String(start(i + 1) - 1n) },
      SequenceNumberRange: { StartingSequenceNumber: '1' },
    }))
    this.#shards = listing
    this.#map = ShardMap.from(listing)
  }

  get shards(): number {
    return this.#shards.length
  }

  shardOf(partitionKey: string, explicitHashKey?: string): number {
    if (explicitHashKey === undefined) hashKeyWords(partitionKey, this.#words)
    else toWords(BigInt(explicitHashKey), this.#words)
    return this.#map.indexOf(this.#words)
  }

  hold(answers: Answers): void {
    this.#answers = answers
  }

  expect(turn: number, records: number): void {
    this.#check = new MarkedRecordsCheck(turn, records)
    this.#arrived = []
    this.requests = 0
  }

  /** What is wrong about what has come. */
  examine(): string | undefined {
    try {
      for (const { shard, entry } of this.#arrived) {
        const data = typeof entry.Data === 'string' ? Buffer.from(entry.Data, 'base64') : entry.Data
        this.#check.takeKinesisRecord(entry.PartitionKey, data, (partitionKey) => {
          // Readers drop what lies outside of its shard.
          if (this.shardOf(partitionKey) !== shard) throw new Error(`'${partitionKey}' came to shard ${shard}`)
        })
      }
      this.#check.finish()
      return undefined
    } catch (error) {
      return (error as Error).message
    } finally {
      this.#arrived = []
    }
  }

  answer(operation: string, body: Buffer, cbor: boolean): Answer {
    if (operation === 'PutRecords') return { body: this.#putRecords(body, cbor) }
    const input = (cbor ? decodeCbor(body) : JSON.parse(body.toString())) as Record<string, string>
    if (operation === 'GetRecords') return { body: this.#getRecords(input, cbor) }
    const output = this.#control(operation, input)
    return { body: cbor ? encodeCbor(output) : JSON.stringify(output) }
  }

  #putRecords(body: Buffer, cbor: boolean): Uint8Array | string {
    this.requests++
    const { Records: entries } = (cbor ? decodeCbor(body) : JSON.parse(body.toString('latin1'))) as {
      readonly Records: readonly PutEntry[]
    }
    const results = entries.map((entry) => {
      const shard = this.shardOf(entry.PartitionKey, entry.ExplicitHashKey)
      this.#arrived.push({ shard, entry })
      return {
        SequenceNumber: `49590338271490256608559692538361571095${String(this.#sequence++).padStart(18, '0')}`,
        ShardId: this.#shards[shard]!.ShardId,
      }
    })
    if (cbor) return encodeCbor({ FailedRecordCount: 0, Records: results })
    const texts = results.map((x) => `{"SequenceNumber":"${x.SequenceNumber}","ShardId":"${x.ShardId}"}`)
    return `{"FailedRecordCount":0,"Records":[${texts.join(',')}]}`
  }

  #getRecords({ ShardIterator }: Record<string, string>, cbor: boolean): Uint8Array {
    this.requests++
    const [shard, position] = ShardIterator!.split(':').map(Number)
    const answers = this.#answers[shard!]
    if (answers === undefined) throw new ServiceRefusal(`no shard ${ShardIterator} was filled`)
    const answer = answers[Math.min(position!, answers.length - 1)]!
    return cbor ? answer.cbor : answer.json
  }

  #control(operation: string, input: Record<string, string>): object {
    switch (operation) {
      case 'ListShards':
        return { Shards: this.#shards }
      case 'DescribeStreamSummary':
        return { StreamDescriptionSummary: this.#summary() }
      case 'GetShardIterator':
        return { ShardIterator: this.#iterator(input) }
      default:
        throw new ServiceRefusal(`${operation} is nothing that this stub does`)
    }
  }

  #iterator({ ShardId, ShardIteratorType }: Record<string, string>): string {
    const shard = this.#shards.findIndex((known) => known.ShardId === ShardId)
    if (ShardIteratorType !== 'TRIM_HORIZON')
      throw new ServiceRefusal(`this stub reads from TRIM_HORIZON only, not ${ShardIteratorType}`)
    return `${shard}:0`
  }

  #summary(): object {
    return {
      StreamName: 'benchmark',
      StreamARN: STREAM_ARN,
      StreamStatus: 'ACTIVE',
      StreamModeDetails: { StreamMode: 'PROVISIONED' },
      StreamCreationTimestamp: 1_760_000_000,
      RetentionPeriodHours: 24,
      OpenShardCount: this.#shards.length,
      EnhancedMonitoring: [{ ShardLevelMetrics: [] }],
      EncryptionType: 'NONE',
    }
  }
}

/** No connection is ended between two turns of a client: one that used it at that moment would fail. */
const PATIENT = { keepAliveTimeout: 0 }

/** HTTP/1.1 and HTTP/2 on one port, for the SDK's own handler speaks HTTP/2 with either scheme. */
function listener(tls: boolean, handle: (request: Http2ServerRequest, response: Http2ServerResponse) => void): Server {
  if (tls) {
    return createSecureServer(
      { ...PATIENT, ...selfSignedCertificate('127.0.0.1', systemClock), allowHTTP1: true },
      handle,
    ) as Server
  }
  const http1 = createHttp1Server(PATIENT, handle as never)
  const http2 = createHttp2Server(handle)
  return createServer((socket: Socket) => {
    socket.once('data', (head) => {
      socket.pause()
      socket.unshift(head)
      // The preface of HTTP/2 begins with PRI, and no method of ours does.
      const server = head.toString('latin1', 0, 3) === 'PRI' ? http2 : http1
      server.emit('connection', socket)
      process.nextTick(() => socket.resume())
    })
    // A client may leave at any time.
    socket.on('error', () => {})
  })
}

class Stub {
  readonly kinesis: StubKinesis
  connections = 0
  readonly #server: Server
  readonly #scheme: string

  constructor({ shards, tls, delayMs }: StubOptions) {
    this.kinesis = new StubKinesis(shards)
    this.#scheme = tls ? 'https' : 'http'
    this.#server = listener(tls, (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const reply = (): void => this.#reply(request, response, chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks))
        if (delayMs > 0) setTimeout(reply, delayMs)
        else reply()
      })
    })
    this.#server.on('connection', () => this.connections++)
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  #reply(request: Http2ServerRequest, response: Http2ServerResponse, body: Buffer): void {
    const operation = String(request.headers['x-amz-target']).split('.')[1]!
    const cbor = request.headers['content-type'] === CBOR_TYPE
    const headers = { 'x-amzn-requestid': '00000000-0000-0000-0000-000000000000' }
    let answer: Answer
    try {
      answer = this.kinesis.answer(operation, body, cbor)
    } catch (error) {
      const text = JSON.stringify({ __type: 'InvalidArgumentException', message: (error as Error).message })
      response.writeHead(400, { ...headers, 'content-type': JSON_TYPE, 'content-length': Buffer.byteLength(text) })
      response.end(text)
      return
    }
    const type = cbor ? CBOR_TYPE : JSON_TYPE
    response.writeHead(200, { ...headers, 'content-type': type, 'content-length': Buffer.byteLength(answer.body) })
    response.end(answer.body)
  }
}

let stub: Stub
let cpuBefore = 0

answerQuestions<ToStub, FromStub>(async (question) => {
  switch (question.type) {
    case 'start':
      stub = new Stub(question.options)
      return { type: 'started', endpoint: await stub.listen() }
    case 'expect':
      stub.kinesis.expect(question.turn, question.records)
      stub.connections = 0
      cpuBefore = cpuMs()
      return { type: 'expecting' }
    case 'fill': {
      const answers = answersOf(question.contents, stub.kinesis.shards, (key) => stub.kinesis.shardOf(key))
      stub.kinesis.hold(answers)
      return { type: 'filled', answers: answers.reduce((total, shard) => total + shard.length - 1, 0) }
    }
    case 'examine': {
      const counts = { requests: stub.kinesis.requests, connections: stub.connections, cpuMs: cpuMs() - cpuBefore }
      return { type: 'examined', ...counts, wrong: stub.kinesis.examine() }
    }
  }
})
