import { setTimeout as delay } from 'node:timers/promises'
import { type HttpConsumer, lifionKinesis, ours, type ReadPlace, sdkLoop, type Taker } from './http-consumers.js'
import { LocalServiceProcess } from './local-service-process.js'
import { type MarkedData, MarkedRecordsCheck, printOf } from './marked-records.js'
import { installPeers } from './peers.js'
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
    ofWallClock: false,
    run: (rounds, progress) => measureConsumers('consumer-http-cbor', {}, rounds, progress),
  },
  'consumer-http-json': {
    ofWallClock: false,
    run: (rounds, progress) => measureConsumers('consumer-http-json', { wire: { reads: 'json' } }, rounds, progress),
  },
}

/** Ours first, then the peer that the goal is about. */
function consumers(options: Parameters<typeof ours>[2], withLifion: boolean): readonly HttpConsumer[] {
  return [
    ours('eachBatch', eachBatch, options),
    sdkLoop('stock SDK loop (JSON) + aws-kinesis-agg'),
    ...(withLifion ? [lifionKinesis('lifion-kinesis')] : []),
    ours('ours, eachRecord', eachRecord, options),
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

interface Turn {
  readonly cpuNs: number
  readonly wallNs: number
}

async function measureConsumers(
  name: string,
  options: Parameters<typeof ours>[2],
  rounds: number,
  progress: (step: string) => void,
): Promise<Outcome> {
  const withoutPeers = await installPeers(progress)
  progress('preparing, services')
  await using kinesis = await StubKinesisProcess.start({ shards: SHARDS, tls: false, delayMs: 0 })
  await using dynamodb = await LocalServiceProcess.start('dynamodb')
  await kinesis.fill({ turn: CONTENTS, records: RECORDS, answerBytes: ANSWER_BYTES })
  const connection = {
    region: 'us-east-1',
    endpoint: kinesis.endpoint,
    credentials: { accessKeyId: 'AKID', secretAccessKey: 'secret' },
  }
  let turn = 0
  const act = async <T>(what: string, { name: who }: HttpConsumer, measure: (place: ReadPlace) => Promise<T>): Promise<T> => {
    progress(`${what}, ${who}`)
    const place = { connection, dynamodbEndpoint: dynamodb.endpoint, stream: 'benchmark', name: `turn-${++turn}` }
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
  const measurement = (figure: string, unit: Unit, of: (turn: Turn) => number): Measurement => {
    const each = contestants.map(({ consumer, turns }) => ({ name: consumer.name, ns: turns.map(of) }))
    return compared(`${name}${figure}`, unit, each)
  }
  const cores = contestants.map(({ consumer, turns }) => {
    return `  ${consumer.name}: ${median(turns.map(({ cpuNs, wallNs }) => cpuNs / wallNs)).toFixed(2)}\n`
  })
  return {
    measurements: [measurement('', CPU, ({ cpuNs }) => cpuNs), measurement('-rate', RATE, ({ wallNs }) => wallNs)],
    report: `${name}: processor time of this process, to the time from the first record to the last\n${cores.join('')}${
      withoutPeers === undefined ? '' : `  without lifion-kinesis: ${withoutPeers}\n`
    }`,
  }
}

interface Taken extends Taker {
  count: number
  sum: number
  firstAt: number
  lastAt: number
}

/** `look` sees each record. */
function taken(look?: (partitionKey: string, data: MarkedData) => void): Taken {
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
      if (++found.count !== RECORDS) return
      found.lastAt = performance.now()
      resolve()
    },
  }
  return found
}

async function readAll(place: ReadPlace, consumer: HttpConsumer, found: Taken): Promise<void> {
  const patience = new AbortController()
  const tooLate = delay(PATIENCE_MS, undefined, { signal: patience.signal }).then(() => {
    throw new WrongResult(`${found.count} of ${RECORDS} records came within ${PATIENCE_MS / 1000} s`)
  })
  await Promise.race([consumer.read(place, found), tooLate]).finally(() => patience.abort())
  if (found.count !== RECORDS) throw new WrongResult(`${found.count} records came out of ${RECORDS}`)
}

/** Each record is examined. Resolves to the sum that belongs to them in the form in which this consumer gives them. */
async function verify(place: ReadPlace, consumer: HttpConsumer): Promise<number> {
  const check = new MarkedRecordsCheck(CONTENTS, RECORDS)
  let wrong: unknown
  const found = taken((partitionKey, data) => {
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
async function measureTurn(place: ReadPlace, consumer: HttpConsumer, expected: number): Promise<Turn> {
  collectGarbage('major')
  const found = taken()
  const cpuBefore = cpuMs()
  await readAll(place, consumer, found)
  const cpu = cpuMs() - cpuBefore
  if (found.sum !== expected) throw new WrongResult('a timed run gave something else than the run that was verified')
  const each = 1e6 / RECORDS
  return { cpuNs: cpu * each, wallNs: (found.lastAt - found.firstAt) * each }
}
