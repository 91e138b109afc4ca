/** A consumer in a process of its own: what it costs is not that of the process that measures, and it can be killed. */
import { setTimeout as delay } from 'node:timers/promises'
import { Consumer } from '@shardwise/consumer'
import type { FromFleetWorker, ToFleetWorker } from './fleet-worker-process.js'
import { processorShares } from './processor-shares.js'
import { collectGarbage } from './rounds.js'
import { cpuMs } from './service-process.js'

const decoder = new TextDecoder()
let consumer: Consumer | undefined
let running: Promise<unknown> | undefined
let reads = 0
let failures = 0

process.on('message', (message: ToFleetWorker) => {
  answer(message).catch((error: unknown) => tell({ type: 'failed', message: String((error as Error).stack ?? error) }))
})
// Ctrl-C reaches every process of the terminal. When the one that measures is gone, so are we.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('disconnect', () => process.exit(0))

async function answer(message: ToFleetWorker): Promise<void> {
  switch (message.type) {
    case 'run':
      run(message)
      return
    case 'stop':
      await consumer!.stop()
      await running
      tell({ type: 'stopped' })
      return
    case 'sample':
      tell(sample(message.collect))
      return
    case 'profile':
      tell({ type: 'profiled', shares: await processorShares(() => delay(message.forMs)) })
  }
}

function run({ options }: Extract<ToFleetWorker, { type: 'run' }>): void {
  consumer = new Consumer(options)
  consumer.events.on('shard-started', ({ shardId }) => tell({ type: 'started', shardId }))
  consumer.events.on('shard-stopped', ({ shardId, outcome }) => tell({ type: 'left', shardId, outcome }))
  consumer.events.on('subscription-started', ({ shardId }) => tell({ type: 'subscribed', shardId }))
  consumer.events.on('batch-completed', () => reads++)
  consumer.events.on('read-failed', () => failures++)
  consumer.events.on('lease-store-failed', () => failures++)
  running = consumer.run({
    eachRecord: (record, { shardId }) => tell({ type: 'handled', shardId, text: decoder.decode(record.data) }),
  })
  running.catch((error: unknown) => tell({ type: 'failed', message: String(error) }))
}

function sample(collect: boolean): FromFleetWorker {
  const cpu = cpuMs()
  if (collect) {
    collectGarbage('major')
    collectGarbage('major')
  }
  const { heapUsed, rss } = process.memoryUsage()
  return { type: 'sample', cpuMs: cpu, heapBytes: heapUsed, rssBytes: rss, reads, failures }
}

function tell(message: FromFleetWorker): void {
  if (process.connected) process.send!(message)
}
