import { type Clock, ManualClock } from '@shardwise/core/clock'
import { expect, onTestFinished } from 'vitest'
import { Producer } from '../producer.js'
import { named, SimulatedKinesis } from './simulated-kinesis.js'

/**
 * A producer with room for one record that cannot be sent. When the next one finds no room, time has passed that no timer has told of yet
 * (the process was busy), and a listener flushes: the first record expires there and then, and makes room in the middle of the put.
 */
export function roomMadeByListener(): { readonly clock: ManualClock; readonly producer: Producer; readonly made: () => boolean } {
  const clock = new ManualClock()
  let behindMs = 0
  const late: Clock = {
    now: () => clock.now() + behindMs,
    wallTime: () => clock.wallTime(),
    schedule: (delayMs, run) => clock.schedule(delayMs, run),
  }
  const kinesis = new SimulatedKinesis(clock, { stream: 'flights', shards: 1 })
  kinesis.controlFault = () => (behindMs === 0 ? named('LimitExceededException') : undefined)
  const producer = new Producer({ stream: 'flights', kinesis, clock: late, maxBufferedRecords: 1, recordTtlMs: 1000 })
  producer.events.on('backpressure-on', () => {
    if (behindMs > 0) return
    behindMs = 1500
    void producer.flush()
  })
  onTestFinished(async () => {
    const closing = producer.close()
    await clock.advanceAsync(10_000)
    await closing
    expect(clock.pendingTimers).toBe(0)
  })
  return { clock, producer, made: () => behindMs > 0 }
}
