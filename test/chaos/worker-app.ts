/** A consumer in a process of its own. Its handler tells when a call begins, with what, and when it is done. */
import { setTimeout as delay } from 'node:timers/promises'
import { type ConsumedRecord, Consumer, type ConsumerEvent, ConsumerStartError, type HandlerContext } from '@shardwise/consumer'
import { seededRandom } from '@shardwise/core/random'
import type { ToWorker, WorkerSetup } from './app-messages.js'
import { readRecord } from './chaos-record.js'
import { type DeliveredGroup, endWithCoordinator, leave, tell, tellOfProcess } from './facts.js'
import { ACCOUNT } from './local-account.js'
import { machineNow } from './machine-time.js'

const LONGEST_CALL_MS = 15
const RESTART_MS = 500

let consumer: Consumer | undefined
const random = seededRandom(process.pid)
let stopping = false
let calls = 0

endWithCoordinator()
process.on('message', (message: ToWorker) => {
  if (message.say === 'run') void run(message.setup)
  if (message.say !== 'stop') return
  stopping = true
  void consumer?.stop()
})

async function run(setup: WorkerSetup): Promise<void> {
  tellOfProcess()
  // What refuses at the start (nobody listens) looks like a mistake in the configuration, and ends it: who runs workers starts them again.
  // It may be told to stop while it waits.
  while (!stopping && !(await hasRun(setup))) await delay(RESTART_MS)
  tell({ fact: 'stopped' }, machineNow())
  leave()
}

async function hasRun(setup: WorkerSetup): Promise<boolean> {
  const { name, stream, applicationName, kinesisEndpoint, dynamodbEndpoint, failoverTimeMs, fanOut } = setup
  consumer = new Consumer({
    ...ACCOUNT,
    ...{ stream, applicationName, dynamodbEndpoint, failoverTimeMs },
    workerId: name,
    endpoint: kinesisEndpoint,
    initialPosition: 'trim-horizon',
    idleTimeBetweenReadsMs: 250,
    checkpointIntervalMs: 500,
    // No fallback: a run by fan-out is not to pass because it polled.
    ...(fanOut && { retrieval: { fanOut: { fallbackToPolling: false } } }),
  })
  consumer.events.onAny(toldOf)
  try {
    await consumer.run({ eachBatch })
    return true
  } catch (error) {
    if (!(error instanceof ConsumerStartError)) throw error
    tell({ fact: 'event', type: 'start-failed', detail: JSON.stringify({ message: error.message }) }, machineNow())
    return false
  }
}

async function eachBatch(records: readonly ConsumedRecord[], { shardId, signal }: HandlerContext): Promise<void> {
  const call = calls++
  const at = machineNow()
  const groups: (DeliveredGroup & { outside: boolean; readonly records: number[] })[] = []
  let foreign = 0
  for (const { sequenceNumber, subSequenceNumber, outsideShardRange, data, partitionKey } of records) {
    const made = readRecord(data, partitionKey)
    if (made === undefined) {
      foreign++
      continue
    }
    if (groups.at(-1)?.sequenceNumber !== sequenceNumber) groups.push({ sequenceNumber, outside: false, records: [] })
    const group = groups.at(-1)!
    group.outside ||= outsideShardRange
    group.records.push(subSequenceNumber, made.producer, made.record)
  }
  tell({ fact: 'began', call, shardId, groups, foreign }, at)
  await delay(random() * LONGEST_CALL_MS)
  tell({ fact: 'completed', call, aborted: signal.aborted }, machineNow())
}

function toldOf(event: ConsumerEvent): void {
  // Too many.
  if (event.type === 'batch-completed') return
  const detail = JSON.stringify(event, (_, value) =>
    value instanceof Error ? String(value) : typeof value === 'bigint' ? `${value}` : value,
  )
  tell({ fact: 'event', type: event.type, detail }, machineNow())
}
