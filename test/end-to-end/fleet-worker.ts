/**
 * A consumer in a process of its own, for tests that stop, kill, cut off and mislead it. A batch is completed once the parent has confirmed
 * it: what the parent has not seen can never be behind a checkpoint.
 */
import { Consumer, type ConsumerEvent, type ConsumerOptions } from '@shardwise/consumer'
import { type Clock, systemClock } from '@shardwise/core/clock'
import { CREDENTIALS, REGION } from './local-account.js'

export type ToFleetWorker =
  | {
      readonly type: 'run'
      readonly options: Omit<ConsumerOptions, 'region' | 'credentials' | 'clock'>
      /** A SIGSTOP is to stop the monotonic clock as well. */
      readonly suspends: boolean
    }
  | { readonly type: 'confirm'; readonly call: number }
  /** As NTP or an administrator would: the monotonic clock goes on as it was. */
  | { readonly type: 'jump-wall-clock'; readonly byMs: number }
  | { readonly type: 'stop' }

export interface DeliveredRecord {
  readonly text: string
  /** stream/shard/sequence number/sub-sequence number. */
  readonly position: string
}

/** In the order in which it happened in the worker. */
export type FromFleetWorker =
  | { readonly type: 'called'; readonly call: number; readonly shardId: string; readonly records: readonly DeliveredRecord[] }
  | { readonly type: 'event'; readonly event: ConsumerEvent['type']; readonly shardId?: string; readonly detail?: string }
  | { readonly type: 'failed'; readonly message: string }

/** Too many, and said by `called`. */
const UNREPORTED: ReadonlySet<string> = new Set<ConsumerEvent['type']>(['batch-completed'])

/** On a machine that is suspended the monotonic clock stands still. To this one a process that was stopped is such a machine. */
class SuspendableClock implements Clock {
  readonly schedule = systemClock.schedule
  suspends = false
  wallOffsetMs = 0
  #last = systemClock.now()
  #skippedMs = 0

  now(): number {
    const now = systemClock.now()
    if (this.suspends && now - this.#last > LONGEST_TURN_MS) this.#skippedMs += now - this.#last
    this.#last = now
    return now - this.#skippedMs
  }

  wallTime(): number {
    return systemClock.wallTime() + this.wallOffsetMs
  }

  /** Looks often, so that a long time without a look was a stop. */
  watch(): void {
    this.now()
    systemClock.schedule(LONGEST_TURN_MS / 5, () => this.watch(), { background: true })
  }
}

const LONGEST_TURN_MS = 500

const clock = new SuspendableClock()
const calls = new Map<number, () => void>()
let consumer: Consumer | undefined
let called = 0

process.on('message', (message: ToFleetWorker) => {
  if (message.type === 'run') void work(message)
  else if (message.type === 'confirm') calls.get(message.call)?.()
  else if (message.type === 'jump-wall-clock') clock.wallOffsetMs += message.byMs
  else void consumer?.stop()
})
process.on('disconnect', () => process.exit(1))

async function work({ options, suspends }: Extract<ToFleetWorker, { type: 'run' }>): Promise<void> {
  clock.suspends = suspends
  clock.watch()
  consumer = new Consumer({ ...options, region: REGION, credentials: CREDENTIALS, clock })
  consumer.events.onAny((event) => {
    if (!UNREPORTED.has(event.type)) send({ type: 'event', event: event.type, ...placeOf(event) })
  })
  try {
    await consumer.run({
      eachBatch(records, { shardId }) {
        const call = called++
        const confirmed = new Promise<void>((resolve) => calls.set(call, resolve)).finally(() => calls.delete(call))
        const delivered = records.map(({ data, idempotencyKey }) => ({
          text: new TextDecoder().decode(data),
          position: idempotencyKey,
        }))
        send({ type: 'called', call, shardId, records: delivered })
        return confirmed
      },
    })
  } catch (error) {
    send({ type: 'failed', message: String(error) })
  }
  process.disconnect()
}

function placeOf(event: ConsumerEvent): { shardId?: string; detail?: string } {
  const { type: _, ...fields } = event
  const shardId = 'shardId' in event ? event.shardId : 'leaseKey' in event ? event.leaseKey : undefined
  return { ...(shardId !== undefined && { shardId }), detail: JSON.stringify(fields, shown) }
}

function shown(_: string, value: unknown): unknown {
  return value instanceof Error ? String(value) : typeof value === 'bigint' ? String(value) : value
}

function send(message: FromFleetWorker): void {
  process.send?.(message)
}
