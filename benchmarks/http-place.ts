import { WrongResult } from './rounds.js'
import { StubKinesisProcess, type StubOptions } from './stub-kinesis-process.js'

/** How to reach the service. */
export interface Connection {
  readonly region: string
  readonly endpoint: string
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
}

/** What a client did, as far as the service saw. */
export interface Counts {
  readonly requests: number
  readonly connections: number
  /** Processor time that the service took for it. */
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
  /** From now on so many records of this turn are put. */
  expect(turn: number, records: number): Promise<void>
  /** Throws WrongResult unless each of them came once, key and bytes, in its shard. */
  examine(): Promise<Counts>
}

const SHARDS = 32
/** A stub's shards have no limit; ten times those of Kinesis are far above what is sent here. */
const NO_LIMIT_PERCENT = 1000

export async function stubPlace(options: Pick<StubOptions, 'tls' | 'delayMs'>): Promise<PutPlace> {
  const stub = await StubKinesisProcess.start({ ...options, shards: SHARDS })
  const credentials = { accessKeyId: 'AKID', secretAccessKey: 'secret' }
  return {
    connection: { region: 'us-east-1', endpoint: stub.endpoint, credentials },
    stream: 'benchmark',
    shards: SHARDS,
    shardRatePercent: NO_LIMIT_PERCENT,
    expect: (turn, records) => stub.expect(turn, records),
    async examine() {
      const { wrong, requests, connections, cpuMs } = await stub.examine()
      if (wrong !== undefined) throw new WrongResult(wrong)
      return { requests, connections, serviceCpuMs: cpuMs }
    },
    [Symbol.asyncDispose]: () => stub[Symbol.asyncDispose](),
  }
}
