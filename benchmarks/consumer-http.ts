import {
  CONSUMER_VARIANTS,
  type ConsumerVariant,
  ConsumerVariantProcess,
  type ReadTask,
  type ReadTurn,
} from './consumer-variant-process.js'
import type { Elsewhere } from './elsewhere.js'
import { placeElsewhere } from './http-place.js'
import { ours as ourProducer } from './http-producers.js'
import { LocalServiceProcess } from './local-service-process.js'
import { markedRecords } from './marked-records.js'
import { installPeers } from './peers.js'
import { sharesLine } from './processor-shares.js'
import { compared, inTurns, type Measurement, median, type Unit, WrongResult } from './rounds.js'
import type { Outcome, Scenarios } from './scenario.js'
import { StubKinesisProcess } from './stub-kinesis-process.js'

const SHARDS = 8
/** Turn that the records say they are of. */
const CONTENTS = 1
const RECORDS = 1_000_000
/** Of records in an answer, about: what a shard gives in a second. */
const ANSWER_BYTES = 2 * 1024 * 1024
const PEERS: ReadonlySet<ConsumerVariant> = new Set(['stock SDK loop (JSON) + aws-kinesis-agg', 'lifion-kinesis'])

const CPU: Unit = { name: 'CPU s/M records', of: (ns) => ns / 1000 }
const RATE: Unit = { name: 'M records/s', of: (ns) => 1000 / ns }

/** Consumers over loopback HTTP, from the beginning of a stream to its end. What the processes of Kinesis and DynamoDB do is not counted. */
export const consumerHttp: Scenarios = {
  'consumer-http-cbor': {
    ...{ ofWallClock: false, anywhere: true },
    run: (...how) => measureConsumers('consumer-http-cbor', 'auto', ...how),
  },
  'consumer-http-json': {
    ...{ ofWallClock: false, anywhere: true },
    run: (...how) => measureConsumers('consumer-http-json', 'json', ...how),
  },
}

async function measureConsumers(
  name: string,
  wire: ReadTask['wire'],
  rounds: number,
  progress: (step: string) => void,
  elsewhere?: Elsewhere,
): Promise<Outcome> {
  const withoutPeers = await installPeers(progress)
  progress('preparing, services')
  await using dynamodb = await LocalServiceProcess.start('dynamodb')
  await using source = elsewhere === undefined ? await filledStub() : await filledElsewhere(elsewhere)
  await using variants = startVariants(withoutPeers === undefined)
  const { connection, stream, limited, records } = source
  let turn = 0
  const act = async <T>(what: string, variant: ConsumerVariant, measure: (task: ReadTask) => Promise<T>): Promise<T> => {
    progress(`${what}, ${variant}`)
    const place = { connection, stream, limited, dynamodbEndpoint: dynamodb.endpoint, name: `turn-${++turn}` }
    try {
      return await measure({ ...place, turn: CONTENTS, records, wire })
    } catch (error) {
      throw error instanceof WrongResult ? new WrongResult(`${name}, ${variant}: ${error.message}`) : error
    }
  }
  const contestants: { readonly process: ConsumerVariantProcess; readonly expected: number; readonly turns: ReadTurn[] }[] = []
  for (const process of variants.processes) {
    const expected = await act('verifying', process.variant, (task) => process.verify(task))
    contestants.push({ process, expected, turns: [] })
  }
  await inTurns(contestants, rounds, async ({ process, expected, turns }, round) => {
    turns.push(await act(`round ${round + 1} of ${rounds}`, process.variant, (task) => process.measure(task, expected)))
  })
  const shares: string[] = []
  for (const { process } of contestants.filter(({ process: { variant } }) => !PEERS.has(variant))) {
    const found = await act('where the time goes', process.variant, (task) => process.profile(task))
    shares.push(`  where the time of ${process.variant} goes, in a turn of its own: ${sharesLine(found, 3)}\n`)
  }
  const measurement = (figure: string, unit: Unit, of: (turn: ReadTurn) => number): Measurement => {
    const each = contestants.map(({ process, turns }) => ({ name: process.variant, ns: turns.map(of) }))
    return compared(`${name}${figure}`, unit, each)
  }
  const cores = contestants.map(({ process, turns }) => {
    return `  ${process.variant}: ${median(turns.map(({ cpuNs, wallNs }) => cpuNs / wallNs)).toFixed(2)}\n`
  })
  return {
    measurements: [measurement('', CPU, ({ cpuNs }) => cpuNs), measurement('-rate', RATE, ({ wallNs }) => wallNs)],
    report: `${name}: processor time of its process, to the time from the first record to the last\n${cores.join('')}${shares.join('')}${withoutPeers === undefined ? '' : `  without lifion-kinesis: ${withoutPeers}\n`}`,
  }
}

interface Variants extends AsyncDisposable {
  readonly processes: readonly ConsumerVariantProcess[]
}

function startVariants(withLifion: boolean): Variants {
  const processes = CONSUMER_VARIANTS.filter((variant) => withLifion || variant !== 'lifion-kinesis').map(
    (variant) => new ConsumerVariantProcess(variant),
  )
  return {
    processes,
    async [Symbol.asyncDispose]() {
      await Promise.all(processes.map((process) => process[Symbol.asyncDispose]()))
    },
  }
}

type Source = Pick<ReadTask, 'connection' | 'stream' | 'limited' | 'records'> & AsyncDisposable

async function filledStub(): Promise<Source> {
  const stub = await StubKinesisProcess.start({ shards: SHARDS, tls: false, delayMs: 0 })
  await stub.fill({ turn: CONTENTS, records: RECORDS, answerBytes: ANSWER_BYTES })
  const credentials = { accessKeyId: 'AKID', secretAccessKey: 'secret' }
  return {
    connection: { region: 'us-east-1', endpoint: stub.endpoint, credentials },
    ...{ stream: 'benchmark', limited: false, records: RECORDS },
    [Symbol.asyncDispose]: () => stub[Symbol.asyncDispose](),
  }
}

/** What a producer of ours has put there, looked at once. */
async function filledElsewhere(elsewhere: Elsewhere): Promise<Source> {
  const place = await placeElsewhere(elsewhere)
  const records = RECORDS / place.fewer
  try {
    await place.expect(CONTENTS, records)
    const producer = await ourProducer('offer', records).open(place, markedRecords(CONTENTS, records))
    await producer.putAll()
    await producer.close()
    await place.examine()
  } catch (error) {
    await place[Symbol.asyncDispose]()
    throw error
  }
  return { ...elsewhere, limited: true, records, [Symbol.asyncDispose]: () => place[Symbol.asyncDispose]() }
}
