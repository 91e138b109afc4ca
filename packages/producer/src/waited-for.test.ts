import { describe, expect, test } from 'vitest'
import type { DeliveryFailedError } from './producer-error.js'
import type { ProducerOptions } from './producer-options.js'
import { type Bench, bench, startedBench } from './testing/producer-bench.js'
import { WAITED_FOR, type WaitedFor } from './waited-for.js'

const hang = ({ kinesis }: Bench): void => void kinesis.putFaults.push({ kind: 'hang' })
/** Before the pause of the shard is over, nothing of what is behind the refused ones is sent. */
const refuseAll = ({ kinesis }: Bench): void => {
  const places = Array.from({ length: 500 }, (_, i) => i)
  const code = 'ProvisionedThroughputExceededException'
  for (let i = 0; i < 100; i++) kinesis.putFaults.push({ kind: 'refuse', places, code })
}
const none = (): void => {}

describe('a record that was never sent before its time was over says what it waited for', () => {
  test.each<[WaitedFor, Partial<ProducerOptions>, (bench: Bench) => void]>([
    ['limit', { shardRatePercent: 10 }, none],
    ['stream-limit', { streamRate: { recordsPerSecond: 10 } }, none],
    ['order', { ordering: 'perShard', afterFailure: 'continue' }, hang],
    ['order', { ordering: 'perKey', afterFailure: 'continue' }, hang],
    ['limit', {}, refuseAll],
    ['requests', { maxRequestsInFlight: 1 }, hang],
  ])('%s: %j', async (waitedFor, options, disturb) => {
    const made = await startedBench({ aggregation: 'off', lingerMs: 0, recordTtlMs: 500, ...options })
    disturb(made)
    const puts = Array.from({ length: 1000 }, () => made.put('k'))
    await made.clock.advanceAsync(600)
    // What was sent before, and what hangs in a request, ends otherwise.
    await made.clock.advanceAsync(20_000)
    const failed = (await Promise.all(puts)).filter((result) => result instanceof Error) as DeliveryFailedError[]
    const neverSent = failed.filter(({ attempts }) => attempts === 0)
    expect(neverSent.length).toBeGreaterThan(100)
    for (const error of neverSent) {
      expect(error).toMatchObject({ reason: 'expired', written: 'no', waitedFor })
      expect(error.message).toContain(`was never sent: it waited for ${WAITED_FOR[waitedFor]}`)
    }
    for (const { attempts, waitedFor: told } of failed) if (attempts > 0) expect(told).toBeUndefined()
  })

  test('shard-map', async () => {
    const made = bench({ recordTtlMs: 500 })
    made.kinesis.latencyMs = 2000
    const put = made.put('k')
    await made.clock.advanceAsync(600)
    const error = (await put) as DeliveryFailedError
    expect(error).toMatchObject({ reason: 'expired', written: 'no', attempts: 0, waitedFor: 'shard-map' })
    expect(error.message).toContain('it waited for the shard map')
  })

  test('its wait counts among the waits, though nothing followed it', async () => {
    const { clock, put, producer } = await startedBench({
      aggregation: 'off',
      lingerMs: 0,
      recordTtlMs: 500,
      streamRate: { recordsPerSecond: 1 },
    })
    void put('sent')
    void put('late')
    await clock.advanceAsync(1000)
    expect(producer.stats()).toMatchObject({ delivered: 1, failed: 1, metrics: { LimitTime: { count: 1, sum: 500 } } })
  })
})
