import type { Elsewhere } from './elsewhere.js'
import { type Counts, type PutPlace, placeElsewhere, stubPlace } from './http-place.js'
import { aggregatesBySdk, type HttpProducer, kinesisWritable, ours, stockSdk } from './http-producers.js'
import { markedRecords } from './marked-records.js'
import { installPeers } from './peers.js'
import { type ProcessorShares, processorShares, sharesLine } from './processor-shares.js'
import { collectGarbage, compared, inTurns, type Measurement, median, type Unit, WrongResult } from './rounds.js'
import type { Outcome, Scenarios } from './scenario.js'
import { cpuMs } from './service-process.js'

/** Ours first, then the peer that the goal is about. */
const producers = (withWritable: boolean): readonly HttpProducer[] => [
  ours('offer', 200_000),
  stockSdk('stock SDK PutRecords', 50_000, false),
  stockSdk('stock SDK, HTTP/1.1 keep-alive', 50_000, true),
  aggregatesBySdk('aws-kinesis-agg + SDK keep-alive', 100_000),
  ...(withWritable ? [kinesisWritable('aws-kinesis-writable', 50_000)] : []),
  ours('ours, CBOR', 200_000, { wire: { writes: 'cbor' } }),
]

/** Producers over loopback HTTP, from records to acknowledgements. What the service's process does is not counted. */
export const producerHttp: Scenarios = {
  'producer-http': {
    ofWallClock: false,
    anywhere: true,
    run: (...options) => measureProducers('producer-http', false, ...options),
  },
  'producer-http-tls': {
    ofWallClock: false,
    run: (rounds, progress) => measureProducers('producer-http-tls', true, rounds, progress),
  },
}

const NOBODY_COUNTS: Counts = { requests: Number.NaN, connections: Number.NaN, serviceCpuMs: Number.NaN }

const CPU: Unit = { name: 'CPU s/M records', of: (ns) => ns / 1000 }
const RATE: Unit = { name: 'M records/s', of: (ns) => 1000 / ns }
const COUNT = (name: string): Unit => ({ name, of: (count) => count })

interface Turn {
  readonly cpuNs: number
  readonly wallNs: number
  readonly requests: number
  readonly connections: number
  /** In use meanwhile. */
  readonly cores: { readonly ours: number; readonly service: number }
}

async function measureProducers(
  name: string,
  tls: boolean,
  rounds: number,
  progress: (step: string) => void,
  elsewhere?: Elsewhere,
): Promise<Outcome> {
  const withoutPeers = await installPeers(progress)
  // Where a shard refuses something it loses records, and no figure of the run would count.
  const withWritable = withoutPeers === undefined && elsewhere === undefined
  progress('preparing, service')
  await using place = elsewhere === undefined ? await stubPlace({ tls, delayMs: 0 }) : await placeElsewhere(elsewhere)
  const contestants = producers(withWritable).map((producer) => ({ producer, turns: [] as Turn[] }))
  let turn = 0
  const act = async (what: string, producer: HttpProducer): Promise<Turn> => {
    progress(`${what}, ${producer.name}`)
    try {
      return await measureTurn(++turn, place, producer)
    } catch (error) {
      throw error instanceof WrongResult ? new WrongResult(`${name}, ${producer.name}: ${error.message}`) : error
    }
  }
  for (const { producer } of contestants) await act('verifying and warming up', producer)
  await inTurns(contestants, rounds, async ({ producer, turns }, round) => {
    turns.push(await act(`round ${round + 1} of ${rounds}`, producer))
  })
  progress('where the time goes')
  let shares: ProcessorShares = []
  await measureTurn(++turn, place, contestants[0]!.producer, async (act) => {
    shares = await processorShares(act)
  })
  const measurement = (figure: string, unit: Unit, of: (turn: Turn) => number): Measurement => {
    const each = contestants.map(({ producer, turns }) => ({ name: producer.name, ns: turns.map(of) }))
    return compared(`${name}${figure}`, unit, each)
  }
  return {
    measurements: [
      measurement('', CPU, ({ cpuNs }) => cpuNs),
      measurement('-rate', RATE, ({ wallNs }) => wallNs),
      ...(elsewhere === undefined
        ? [
            measurement('-requests', COUNT('requests/M records'), ({ requests }) => requests),
            measurement('-connections', COUNT('connections'), ({ connections }) => connections),
          ]
        : []),
    ],
    report: `${coresReport(name, contestants)}  where the time of ours goes, in a turn of its own: ${sharesLine(shares, 3)}
${withoutPeers === undefined ? '' : `  without aws-kinesis-writable: ${withoutPeers}\n`}`,
  }
}

/** Where the service's process, or both together, are near what the machine has, the rates are the machine's. */
function coresReport(
  name: string,
  contestants: readonly { readonly producer: HttpProducer; readonly turns: readonly Turn[] }[],
): string {
  const cores = (turns: readonly Turn[], of: (turn: Turn) => number): string => `${median(turns.map(of)).toFixed(2)} cores`
  const lines = contestants.map(({ producer, turns }) => {
    const stub = turns.some(({ cores }) => Number.isNaN(cores.service))
      ? ''
      : `, the stub ${cores(turns, (turn) => turn.cores.service)}`
    return `  ${producer.name}: ${cores(turns, (turn) => turn.cores.ours)}${stub}\n`
  })
  return `${name}, in use while records were put\n${lines.join('')}`
}

/** A client of its own, whose connections are counted from its making; what came is examined record by record in every turn. `around` is given the part that is measured. */
async function measureTurn(
  turn: number,
  place: PutPlace,
  producer: HttpProducer,
  around: (act: () => Promise<void>) => Promise<void> = (act) => act(),
): Promise<Turn> {
  const records = markedRecords(turn, producer.records / place.fewer)
  await place.expect(turn, records.length)
  const client = await producer.open(place, records)
  collectGarbage('minor')
  const cpuBefore = cpuMs()
  const startedAt = performance.now()
  let delivered = 0
  await around(async () => {
    delivered = await client.putAll()
  })
  const wallMs = performance.now() - startedAt
  const cpu = cpuMs() - cpuBefore
  await client.close()
  const { requests, connections, serviceCpuMs } = (await place.examine()) ?? NOBODY_COUNTS
  if (delivered !== records.length) throw new WrongResult(`${delivered} of ${records.length} records were acknowledged`)
  const each = 1e6 / records.length
  const cores = { ours: cpu / wallMs, service: serviceCpuMs / wallMs }
  return { cpuNs: cpu * each, wallNs: wallMs * each, requests: requests * each, connections, cores }
}
