/** One consumer process of the demo. It handles flights by reporting them to the parent's ledger and is done with a batch once that confirms. */
import { type ConsumedRecord, Consumer, type HandlerContext } from '@shardwise/consumer'
import type { Flight } from './flights.js'
import { copyHash, type DeliveredBatch } from './ledger.js'
import { LOCAL_CREDENTIALS, LOCAL_REGION } from './local-account.js'
import type { FromWorker, ToWorker, WorkerSetup } from './worker-messages.js'

const unconfirmed = new Map<number, () => void>()
let consumer: Consumer | undefined
let batches = 0

process.on('message', (message: ToWorker) => {
  if (message.type === 'start') void work(message.worker)
  else if (message.type === 'confirm') confirm(message.batch)
  else void consumer?.stop()
})
// Ctrl-C reaches every process of the terminal. The parent decides what happens; when it is gone, so are we.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('disconnect', () => process.exit(1))

async function work(setup: WorkerSetup): Promise<void> {
  consumer = new Consumer({
    stream: setup.stream,
    applicationName: setup.applicationName,
    workerId: setup.name,
    endpoint: setup.kinesisEndpoint,
    dynamodbEndpoint: setup.dynamodbEndpoint,
    region: LOCAL_REGION,
    credentials: LOCAL_CREDENTIALS,
    failoverTimeMs: setup.failoverTimeMs,
    initialPosition: 'trim-horizon',
    idleTimeBetweenReadsMs: 250,
    checkpointIntervalMs: 200,
    // No fallback: who asks for fan-out is to see fan-out.
    ...(setup.fanOut && { retrieval: { fanOut: { fallbackToPolling: false } } }),
  })
  consumer.events.on('lease-lost', (event) => send({ type: 'lost', shardId: event.leaseKey }))
  try {
    await consumer.run({ eachBatch: report })
    process.disconnect()
  } catch (error) {
    send({ type: 'failed', message: error instanceof Error ? error.message : String(error) })
    process.exitCode = 1
    process.disconnect()
  }
}

async function report(records: readonly ConsumedRecord[], context: HandlerContext): Promise<void> {
  const batch = batches++
  const confirmed = new Promise<void>((resolve) => unconfirmed.set(batch, resolve))
  send({
    type: 'delivered',
    batch,
    records: delivered(records, context.shardId),
    millisBehindLatest: context.millisBehindLatest ?? 0,
  })
  await confirmed
}

function delivered(records: readonly ConsumedRecord[], shardId: string): DeliveredBatch {
  const rows = new Int32Array(records.length)
  const delays = new Int32Array(records.length)
  const copies = new Uint32Array(records.length)
  const origins: string[] = []
  for (const [i, record] of records.entries()) {
    const flight = JSON.parse(Buffer.from(record.data.buffer, record.data.byteOffset, record.data.length).toString()) as Flight
    rows[i] = flight.row
    delays[i] = flight.delay
    copies[i] = copyHash(record.shardId, record.sequenceNumber, record.subSequenceNumber)
    origins.push(flight.origin)
  }
  return { shardId, rows, delays, origins, copies }
}

function confirm(batch: number): void {
  unconfirmed.get(batch)?.()
  unconfirmed.delete(batch)
}

function send(message: FromWorker): void {
  process.send?.(message)
}
