/** A producer in a process of its own. It tells what it is about to put, and what it is told of it. */
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import { DeliveryFailedError, LaneHaltedError, Producer, type ProducerEvent, type PutOutcome } from '@shardwise/producer'
import type { ProducerSetup, ToProducer } from './app-messages.js'
import { type MadeRecord, makeRecord } from './chaos-record.js'
import { endWithCoordinator, leave, tell, tellOfProcess } from './facts.js'
import { ACCOUNT } from './local-account.js'
import { machineNow } from './machine-time.js'

const BURST = 64
const PAUSE_MS = 10
const RESUME_AFTER_MS = 50
const TOLD: ReadonlySet<ProducerEvent['type']> = new Set<ProducerEvent['type']>([
  'lane-halted',
  'shard-map-failed',
  'stream-unusable',
  'wrong-shard',
  'records-expired',
])

let stopping = false
let meanBytes = 0
const acknowledged: number[] = []

endWithCoordinator()
process.on('message', (message: ToProducer) => {
  if (message.say === 'stop') stopping = true
  if (message.say === 'load') meanBytes = message.meanBytes
  if (message.say === 'run') void run(message.setup)
})

async function run(setup: ProducerSetup): Promise<void> {
  meanBytes = setup.meanBytes
  const { endpoint, stream, ordering, aggregation, recordTtlMs, maxBufferedBytes } = setup
  const producer = new Producer({
    ...ACCOUNT,
    ...{ endpoint, stream, recordTtlMs, maxBufferedBytes },
    // Which of them go together is the producer's to say.
    ...({ ordering, aggregation } as object),
  })
  producer.events.onAny((event) => {
    if (event.type === 'lane-halted') setTimeout(() => producer.resume(), RESUME_AFTER_MS)
    if (TOLD.has(event.type)) tell({ fact: 'event', type: event.type, detail: shown(event) }, machineNow())
  })
  tellOfProcess(() => producer.stats().bufferedBytes)
  const since = machineNow()
  let told = 0
  let next = 0
  while (!stopping) {
    const { recordsPerSecond } = setup
    const due = recordsPerSecond === undefined ? next + BURST : Math.floor(((machineNow() - since) / 1000) * recordsPerSecond)
    // Asleep for long it does not catch up in one go.
    const until = Math.min(due, next + BURST * 4)
    if (until > told) {
      tell({ fact: 'put', from: told, count: until - told }, machineNow())
      told = until
    }
    while (next < told && producer.offer(makeRecord(setup.producer, next, meanBytes), settled)) next++
    // Not `ready`: a stop is not to wait for a service that is away, and those that wait would pile up.
    if (next < told) await delay(PAUSE_MS)
    else if (recordsPerSecond === undefined) await turn()
    else await delay(PAUSE_MS)
  }
  // What was announced is put, so that each record has an end.
  for (; next < told; await producer.ready())
    while (next < told && producer.offer(makeRecord(setup.producer, next, meanBytes), settled)) next++
  await producer.close()
  tellAcknowledged()
  tell({ fact: 'closed' }, machineNow())
  leave()
}

const settled: PutOutcome<MadeRecord> = (error, result, { record }) => {
  if (result === undefined) {
    const [reason, written] = failureOf(error!)
    tell({ fact: 'failed', record, reason, written }, machineNow())
  } else {
    if (acknowledged.length === 0) setImmediate(tellAcknowledged)
    acknowledged.push(record, result.attempts)
  }
}

function tellAcknowledged(): void {
  if (acknowledged.length > 0) tell({ fact: 'acknowledged', records: acknowledged.splice(0) }, machineNow())
}

function failureOf(error: Error): [reason: string, written: 'no' | 'unknown'] {
  if (error instanceof DeliveryFailedError) return [error.reason, error.written]
  if (error instanceof LaneHaltedError) return ['halted', error.written]
  return [error.name, 'unknown']
}

function shown(event: object): string {
  return JSON.stringify(event, (_, value) =>
    value instanceof Error ? String(value) : typeof value === 'bigint' ? `${value}` : value,
  )
}
