import { ManualClock } from '@shardwise/core/clock'
import { expect, onTestFinished } from 'vitest'
import { Producer } from '../producer.js'
import type { ProducerEvent } from '../producer-events.js'
import type { ProducerOptions } from '../producer-options.js'
import type { PutResult } from '../user-record.js'
import { SimulatedKinesis } from './simulated-kinesis.js'

/** A producer on a clock that stands still, writing to a simulated stream. When the test ends it must close and leave no timer. */
export interface Bench {
  readonly clock: ManualClock
  readonly kinesis: SimulatedKinesis
  readonly producer: Producer
  readonly events: ProducerEvent[]
  /** Puts a record whose id is its payload. `at` is its explicit hash key. */
  put(id: string, at?: bigint): Promise<PutResult | Error>
  types(): string[]
}

export function bench(options: Partial<ProducerOptions> = {}, shards = 1): Bench {
  const clock = new ManualClock()
  const kinesis = new SimulatedKinesis(clock, { stream: 'flights', shards })
  const producer = new Producer({ stream: 'flights', kinesis, clock, random: () => 0.5, ...options })
  const events: ProducerEvent[] = []
  producer.events.onAny((event) => events.push(event))
  onTestFinished(async () => {
    const closing = producer.close()
    await clock.advanceAsync(3_700_000)
    await closing
    expect(clock.pendingTimers).toBe(0)
  })
  return {
    ...{ clock, kinesis, producer, events },
    put: (id, at) =>
      producer.put({ partitionKey: id, explicitHashKey: at?.toString(), data: Buffer.from(id) }).catch((error: Error) => error),
    types: () => events.map((event) => event.type),
  }
}

/** Delivered sub-sequence numbers, or the names of errors. */
export async function outcomes(puts: readonly Promise<PutResult | Error>[]): Promise<(number | string)[]> {
  return (await Promise.all(puts)).map((result) => (result instanceof Error ? result.name : result.subSequenceNumber))
}

export async function startedBench(options: Partial<ProducerOptions> = {}, shards = 1): Promise<Bench> {
  const made = bench(options, shards)
  const started = made.producer.start()
  await made.clock.advanceAsync(100)
  await started
  return made
}

/** A stream whose map the producer knows, split behind its back. */
export async function splitBench(options: Partial<ProducerOptions> = {}): Promise<Bench> {
  const made = await startedBench(options)
  made.kinesis.split(0)
  return made
}
