import { Agent, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { GetRecordsCommand, KinesisClient, type KinesisClientConfig } from '@aws-sdk/client-kinesis'
import { connectKinesis } from '@shardwise/core/transport'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import type { Connection } from './elsewhere.js'
import { processorShares, sharesLine } from './processor-shares.js'
import { collectGarbage, compared, inTurns, type Unit, WrongResult } from './rounds.js'
import type { Outcome, Scenarios } from './scenario.js'
import { cpuMs } from './service-process.js'
import { StubKinesisProcess } from './stub-kinesis-process.js'

const CALLS = 5000
const AT_A_TIME = 64
const WARM_UP_ROUNDS = 2
const MICROSECONDS: Unit = { name: 'CPU us/call', of: (ns) => ns / 1000 }

/** What an empty GetRecords costs this process, its connection included: calls of this kind are most of what a consumer of idle shards does. */
export const requestHttp: Scenarios = { 'request-http-get-empty': { ofWallClock: false, run: measureGets } }

interface Contestant {
  readonly name: string
  /** Resolves to the iterator that the answer has, and the number of its records. */
  readonly get: (iterator: string) => Promise<readonly [next: string | undefined, records: number | undefined]>
  readonly close: () => void
  readonly ns: number[]
}

async function measureGets(rounds: number, progress: (step: string) => void): Promise<Outcome> {
  progress('preparing, service')
  await using stub = await StubKinesisProcess.start({ shards: 1, tls: false, delayMs: 0 })
  // Behind its one answer with records the shard gives empty ones, which lead to themselves.
  const answers = await stub.fill({ turn: 1, records: 1, answerBytes: 1 })
  const iterator = `0:${answers}`
  const connection = {
    region: 'us-east-1',
    endpoint: stub.endpoint,
    credentials: { accessKeyId: 'AKID', secretAccessKey: 'secret' },
  }
  const contestants = [
    lean(connection),
    stockSdk('stock SDK client', connection),
    stockSdk('stock SDK, HTTP/1.1 keep-alive', { ...connection, requestHandler: new NodeHttpHandler() }),
    bare(stub.endpoint),
  ] as const
  await inTurns(contestants, WARM_UP_ROUNDS + rounds, async (contestant, round) => {
    const timed = round - WARM_UP_ROUNDS
    progress(timed < 0 ? `warming up, ${contestant.name}` : `round ${timed + 1} of ${rounds}, ${contestant.name}`)
    collectGarbage('minor')
    const before = cpuMs()
    await callAll(contestant, iterator)
    if (timed >= 0) contestant.ns.push(((cpuMs() - before) * 1e6) / CALLS)
  })
  progress('where the time goes')
  const shares = await processorShares(() => callAll(contestants[0], iterator))
  for (const { close } of contestants) close()
  return {
    measurements: [compared('request-http-get-empty', MICROSECONDS, contestants)],
    report: `request-http-get-empty: ${AT_A_TIME} calls at a time\n  where the time of ours goes, in a round of its own: ${sharesLine(shares, 4)}\n`,
  }
}

async function callAll({ name, get }: Contestant, iterator: string): Promise<void> {
  let left = CALLS
  const some = async (): Promise<void> => {
    while (left-- > 0) {
      const [next, records] = await get(iterator)
      if (next !== iterator || records !== 0) throw new WrongResult(`${name} got ${records} records and leads to '${next}'`)
    }
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, some))
}

function lean(connection: Connection): Contestant {
  const { port, close } = connectKinesis(connection)
  return {
    name: 'lean',
    get: async (ShardIterator) => {
      const { NextShardIterator, Records } = await port.getRecords({ ShardIterator })
      return [NextShardIterator, Records?.length]
    },
    close,
    ns: [],
  }
}

/** What of it is Node's: a plain call, JSON both ways, signed by nobody and with no timer. */
function bare(endpoint: string): Contestant {
  const { hostname: host, port, host: address } = new URL(endpoint)
  const agent = new Agent({ keepAlive: true, maxSockets: AT_A_TIME })
  const get = async (ShardIterator: string): Promise<readonly [next: string | undefined, records: number | undefined]> => {
    const body = Buffer.from(JSON.stringify({ ShardIterator }))
    const target = ['x-amz-target', 'Kinesis_20131202.GetRecords', 'content-type', 'application/x-amz-json-1.1']
    const headers = ['host', address, 'content-length', String(body.length), ...target]
    const answer = await new Promise<string>((resolve, reject) => {
      const sent = request({ host, port, method: 'POST', path: '/', headers, agent })
      sent.on('response', (incoming) => text(incoming).then(resolve, reject)).on('error', reject)
      sent.end(body)
    })
    const { NextShardIterator, Records } = JSON.parse(answer)
    return [NextShardIterator, Records?.length]
  }
  return { name: 'node:http alone', get, close: () => agent.destroy(), ns: [] }
}

function stockSdk(name: string, config: KinesisClientConfig): Contestant {
  const client = new KinesisClient(config)
  return {
    name,
    get: async (ShardIterator) => {
      const { NextShardIterator, Records } = await client.send(new GetRecordsCommand({ ShardIterator }))
      return [NextShardIterator, Records?.length]
    },
    close: () => client.destroy(),
    ns: [],
  }
}
