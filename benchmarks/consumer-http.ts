import { setTimeout as delay } from 'node:timers/promises'
import type { Elsewhere } from './elsewhere.js'
import { type HttpConsumer, lifionKinesis, ours, type ReadPlace, sdkLoop, type Taker } from './http-consumers.js'
import { placeElsewhere } from './http-place.js'
import { ours as ourProducer } from './http-producers.js'
import { LocalServiceProcess } from './local-service-process.js'
import { type MarkedData, MarkedRecordsCheck, markedRecords, printOf } from './marked-records.js'
import { installPeers } from './peers.js'
import { processorShares, sharesLine } from './processor-shares.js'
import { collectGarbage, compared, inTurns, type Measurement, median, type Unit, WrongResult } from './rounds.js'
import type { Outcome, Scenarios } from './scenario.js'
import { cpuMs } from './service-process.js'
import { StubKinesisProcess } from './stub-kinesis-process.js'

const SHARDS = 8
/** Turn that the records say they are of. */
const CONTENTS = 1
const RECORDS = 1_000_000
/** Of records in an answer, about: what a shard gives in a second. */
const ANSWER_BYTES = 2 * 1024 * 1024
/** Far above what any of them takes: what has not come by then does not come any more. */
const PATIENCE_MS = 180_000

const CPU: Unit = { name: 'CPU s/M records', of: (ns) => ns / 1000 }
const RATE: Unit = { name: 'M records/s', of: (ns) => 1000 / ns }

/** Consumers over loopback HTTP, from the beginning of a stream to its end. What the processes of Kinesis and DynamoDB do is not counted. */
export const consumerHttp: Scenarios = {
  'consumer-http-cbor': {
    ...{ ofWallClock: false, anywhere: true },
    run: (...how) => measureConsumers('consumer-http-cbor', {}, ...how),
  },
  'consumer-http-json': {
    ...{ ofWallClock: false, anywhere: true },
    run: (...how) => measureConsumers('consumer-http-json', { wire: { reads: 'json' } }, ...how),
  },
}

/** Ours first, then the peer that the goal is about. */
function consumers(options: Parameters<typeof ours>[2], withLifion: boolean): readonly HttpConsumer[] {
  return [
    ours('eachBatch', eachBatch, options),
    sdkLoop('stock SDK loop (JSON) + aws-kinesis-agg'),
    ...(withLifion ? [lifionKinesis('lifion-kinesis')] : []),
    ours('ours, eachRecord', eachRecord, options),
    ours('ours, eachRecord without promises', eachRecordAtOnce, options),
  ]
}

const eachBatch: Parameters<typeof ours>[1] = (taker) => ({
  eachBatch: async (records) => {
    for (const { partitionKey, bytes } of records) taker.take(partitionKey, bytes)
  },
})

const eachRecord: Parameters<typeof ours>[1] = (taker) => ({
  eachRecord: async ({ partitionKey, bytes }) => taker.take(partitionKey, bytes),
})

const eachRecordAtOnce: Parameters<typeof ours>[1] = (taker) => ({
  eachRecord: ({ partitionKey, bytes }) => taker.take(partitionKey, bytes),
})

interface Turn {
  readonly cpuNs: number
  readonly wallNs: number
}

async function measureConsumers(
  name: string,
  options: Parameters<typeof ours>[2],
  rounds: number,
  progress: (step: string) => void,
  elsewhere?: Elsewhere,
): Promise<Outcome> {
  const withoutPeers = await installPeers(progress)
  progress('preparing, services')
  await using dynamodb = await LocalServiceProcess.start('dynamodb')
  await using source = elsewhere === undefined ? await filledStub() : await filledElsewhere(elsewhere)
  let turn = 0
  const act = async <T>(what: string, { name: who }: HttpConsumer, measure: (place: FilledPlace) => Promise<T>): Promise<T> => {
    progress(`${what}, ${who}`)
    const place = { ...source, dynamodbEndpoint: dynamodb.endpoint, name: `turn-${++turn}` }
    try {
      return await measure(place)
    } catch (error) {
      throw error instanceof WrongResult ? new WrongResult(`${name}, ${who}: ${error.message}`) : error
    }
  }
  const contestants: { readonly consumer: HttpConsumer; readonly expected: number; readonly turns: Turn[] }[] = []
  for (const consumer of consumers(options, withoutPeers === undefined)) {
    const expected = await act('verifying', consumer, (place) => verify(place, consumer))
    contestants.push({ consumer, expected, turns: [] })
  }
  await inTurns(contestants, rounds, async ({ consumer, expected, turns }, round) => {
    turns.push(await act(`round ${round + 1} of ${rounds}`, consumer, (place) => measureTurn(place, consumer, expected)))
  })
  const [{ consumer: first }] = contestants as [(typeof contestants)[number]]
  const shares = await act('where the time goes', first, (place) => {
    return processorShares(() => readAll(place, first, taken(place.records)))
  })
  const measurement = (figure: string, unit: Unit, of: (turn: Turn) => number): Measurement => {
    const each = contestants.map(({ consumer, turns }) => ({ name: consumer.name, ns: turns.map(of) }))
    return compared(`${name}${figure}`, unit, each)
  }
  const cores = contestants.map(({ consumer, turns }) => {
    return `  ${consumer.name}: ${median(turns.map(({ cpuNs, wallNs }) => cpuNs / wallNs)).toFixed(2)}\n`
  })
  return {
    measurements: [measurement('', CPU, ({ cpuNs }) => cpuNs), measurement('-rate', RATE, ({ wallNs }) => wallNs)],
    report: `${name}: processor time of this process, to the time from the first record to the last\n${cores.join('')}  where the time of ${first.name} goes, in a turn of its own: ${sharesLine(shares, 3)}
${withoutPeers === undefined ? '' : `  without lifion-kinesis: ${withoutPeers}\n`}`,
  }
}

type FilledPlace = ReadPlace & { readonly records: number }
type Source = Pick<FilledPlace, 'connection' | 'stream' | 'limited' | 'records'> & AsyncDisposable

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

interface Taken extends Taker {
  count: number
  sum: number
  firstAt: number
  lastAt: number
}

/** `look` sees each record. */
function taken(records: number, look?: (partitionKey: string, data: MarkedData) => void): Taken {
  let resolve: () => void = () => {}
  const found: Taken = {
    count: 0,
    sum: 0,
    firstAt: 0,
    lastAt: 0,
    all: new Promise<void>((done) => {
      resolve = done
    }),
    take(partitionKey, data) {
      if (found.count === 0) found.firstAt = performance.now()
      look?.(partitionKey, data)
      found.sum += printOf(partitionKey, data)
      if (++found.count !== records) return
      found.lastAt = performance.now()
      resolve()
    },
  }
  return found
}

async function readAll(place: FilledPlace, consumer: HttpConsumer, found: Taken): Promise<void> {
  const patience = new AbortController()
  const tooLate = delay(PATIENCE_MS, undefined, { signal: patience.signal }).then(() => {
    throw new WrongResult(`${found.count} of ${place.records} records came within ${PATIENCE_MS / 1000} s`)
  })
  await Promise.race([consumer.read(place, found), tooLate]).finally(() => patience.abort())
  if (found.count !== place.records) throw new WrongResult(`${found.count} records came out of ${place.records}`)
}

/** Each record is examined. Resolves to the sum that belongs to them in the form in which this consumer gives them. */
async function verify(place: FilledPlace, consumer: HttpConsumer): Promise<number> {
  const check = new MarkedRecordsCheck(CONTENTS, place.records)
  let wrong: unknown
  const found = taken(place.records, (partitionKey, data) => {
    try {
      check.take(partitionKey, data)
    } catch (error) {
      // Thrown into a handler it would be a failure of the handler, which is called again.
      wrong ??= error
    }
  })
  await readAll(place, consumer, found)
  if (wrong !== undefined) throw wrong
  check.finish()
  return found.sum
}

/** From the making of the consumer until it is closed, leases and all; the rate from the first record to the last. */
async function measureTurn(place: FilledPlace, consumer: HttpConsumer, expected: number): Promise<Turn> {
  collectGarbage('major')
  const found = taken(place.records)
  const cpuBefore = cpuMs()
  await readAll(place, consumer, found)
  const cpu = cpuMs() - cpuBefore
  if (found.sum !== expected) throw new WrongResult('a timed run gave something else than the run that was verified')
  const each = 1e6 / place.records
  return { cpuNs: cpu * each, wallNs: (found.lastAt - found.firstAt) * each }
}
