/** A consumer in a process of its own, which tests kill and pause. A record is completed once the parent has confirmed it. */
import { Consumer, type ConsumerOptions } from '@shardwise/consumer'
import { CREDENTIALS, REGION } from './local-account.js'

export type ToCrashWorker =
  | { readonly type: 'run'; readonly options: Omit<ConsumerOptions, 'region' | 'credentials'> }
  | { readonly type: 'confirm'; readonly call: number }
  | { readonly type: 'stop' }

/** In the order in which it happened in the worker. */
export type FromCrashWorker =
  | { readonly type: 'taken' | 'lost' | 'stopped'; readonly shardId: string }
  | { readonly type: 'called'; readonly call: number; readonly shardId: string; readonly text: string }
  | { readonly type: 'failed'; readonly message: string }

const calls = new Map<number, () => void>()
let consumer: Consumer | undefined
let called = 0

process.on('message', (message: ToCrashWorker) => {
  if (message.type === 'run') void work(message.options)
  else if (message.type === 'confirm') calls.get(message.call)?.()
  else void consumer?.stop()
})
process.on('disconnect', () => process.exit(1))

async function work(options: Omit<ConsumerOptions, 'region' | 'credentials'>): Promise<void> {
  consumer = new Consumer({ ...options, region: REGION, credentials: CREDENTIALS })
  consumer.events.on('lease-taken', ({ leaseKey }) => send({ type: 'taken', shardId: leaseKey }))
  consumer.events.on('lease-lost', ({ leaseKey }) => send({ type: 'lost', shardId: leaseKey }))
  consumer.events.on('shard-stopped', ({ shardId }) => send({ type: 'stopped', shardId }))
  try {
    await consumer.run({
      eachRecord({ shardId, data }) {
        const call = called++
        const confirmed = new Promise<void>((resolve) => calls.set(call, resolve))
        send({ type: 'called', call, shardId, text: new TextDecoder().decode(data) })
        return confirmed
      },
    })
  } catch (error) {
    send({ type: 'failed', message: String(error) })
  }
  process.disconnect()
}

function send(message: FromCrashWorker): void {
  process.send?.(message)
}
