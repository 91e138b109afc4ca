import { setTimeout as delay } from 'node:timers/promises'
import { GetRecordsCommand, GetShardIteratorCommand } from '@aws-sdk/client-kinesis'
import { hashKeyOf, inRange } from '@shardwise/core/hash-key'
import { type Connection, type Elsewhere, type OwnShard, OwnStream } from './elsewhere.js'
import { MarkedRecordsCheck } from './marked-records.js'
import { WrongResult } from './rounds.js'
import { StubKinesisProcess, type StubOptions } from './stub-kinesis-process.js'

/** What a client did, as the stub saw it. */
export interface Counts {
  readonly requests: number
  readonly connections: number
  /** Processor time that the stub took for it. */
  readonly serviceCpuMs: number
}

/** A stream to put to, which tells afterwards whether what it got was right. */
export interface PutPlace extends AsyncDisposable {
  readonly connection: Connection
  readonly stream: string
  /** Of equal width. */
  readonly shards: number
  /** The share of a shard's quota, in percent, that a producer of ours may use. */
  readonly shardRatePercent: number
  /** How many times as many records go to the stub in a turn. */
  readonly fewer: number
  /** From now on so many records of this turn are put. */
  expect(turn: number, records: number): Promise<void>
  /** Throws WrongResult unless each of them came, key and bytes, in its shard; to the stub, where nothing fails, once. Undefined where nobody counts. */
  examine(): Promise<Counts | undefined>
}

const STUB_SHARDS = 32
/** A stub's shards have no limit; ten times those of Kinesis are far above what is sent here. */
const NO_LIMIT_PERCENT = 1000

/** With `tls` nobody in this process checks a certificate until the place is disposed of. */
export async function stubPlace(options: Pick<StubOptions, 'tls' | 'delayMs'>): Promise<PutPlace> {
  const stub = await StubKinesisProcess.start({ ...options, shards: STUB_SHARDS })
  const distrust = options.tls ? trustAnyCertificate() : undefined
  const credentials = { accessKeyId: 'AKID', secretAccessKey: 'secret' }
  return {
    connection: { region: 'us-east-1', endpoint: stub.endpoint, credentials },
    stream: 'benchmark',
    shards: STUB_SHARDS,
    shardRatePercent: NO_LIMIT_PERCENT,
    fewer: 1,
    expect: (turn, records) => stub.expect(turn, records),
    async examine() {
      const { wrong, requests, connections, cpuMs } = await stub.examine()
      if (wrong !== undefined) throw new WrongResult(wrong)
      return { requests, connections, serviceCpuMs: cpuMs }
    },
    async [Symbol.asyncDispose]() {
      distrust?.()
      await stub[Symbol.asyncDispose]()
    },
  }
}

/** For the stub's certificate. Not every client here takes one as an option; the chain is left unchecked for all of them alike. Ended by calling what it returns. */
function trustAnyCertificate(): () => void {
  const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
  return () => {
    if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
    else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before
  }
}

const SHARDS_ELSEWHERE = 8
const FEWER_ELSEWHERE = 10

/** A stream of its own at an endpoint where the limits of shards hold. What came is read back. */
export async function placeElsewhere(elsewhere: Elsewhere): Promise<PutPlace> {
  const stream = await OwnStream.make(elsewhere, SHARDS_ELSEWHERE)
  const readers = stream.shards.map((shard) => new ShardReader(stream, shard))
  let check = new MarkedRecordsCheck(0, 0)
  return {
    ...elsewhere,
    shards: SHARDS_ELSEWHERE,
    shardRatePercent: 100,
    fewer: FEWER_ELSEWHERE,
    async expect(turn, records) {
      // A lost answer is repeated, and so may its records be.
      check = new MarkedRecordsCheck(turn, records, { mayRepeat: true })
    },
    async examine() {
      await Promise.all(readers.map((reader) => reader.takeAll(check)))
      check.finish()
      return undefined
    },
    [Symbol.asyncDispose]: () => stream[Symbol.asyncDispose](),
  }
}

/** Five reads a second are what a shard gives, to all its readers together. */
const READ_PAUSE_MS = 250

/** Reads on from where it was. */
class ShardReader {
  readonly #stream: OwnStream
  readonly #shard: OwnShard
  #last: string | undefined

  constructor(stream: OwnStream, shard: OwnShard) {
    this.#stream = stream
    this.#shard = shard
  }

  async takeAll(check: MarkedRecordsCheck): Promise<void> {
    const { client, name: StreamName } = this.#stream
    const { shardId: ShardId, range } = this.#shard
    const from =
      this.#last === undefined
        ? ({ ShardIteratorType: 'TRIM_HORIZON' } as const)
        : ({ ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', StartingSequenceNumber: this.#last } as const)
    let { ShardIterator } = await client.send(new GetShardIteratorCommand({ StreamName, ShardId, ...from }))
    for (let behind = true; behind; ) {
      const answer = await client.send(new GetRecordsCommand({ ShardIterator }))
      for (const { PartitionKey, Data, SequenceNumber } of answer.Records ?? []) {
        this.#last = SequenceNumber
        check.takeKinesisRecord(PartitionKey!, Data!, (key) => {
          if (!inRange(hashKeyOf(key), range)) throw new WrongResult(`'${key}' came to ${ShardId}`)
        })
      }
      ShardIterator = answer.NextShardIterator
      behind = answer.MillisBehindLatest !== 0
      await delay(READ_PAUSE_MS)
    }
  }
}
