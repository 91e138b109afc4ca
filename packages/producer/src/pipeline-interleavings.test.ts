import { describe, expect, test } from 'vitest'
import { bench, outcomes, startedBench } from './testing/producer-bench.js'
import { named, type SimulatedKinesis } from './testing/simulated-kinesis.js'
import type { PutResult } from './user-record.js'

const HALF = 2n ** 127n
const QUARTER = 2n ** 126n

function ids(kinesis: SimulatedKinesis): string[] {
  return kinesis.readable().map(({ id }) => id)
}

describe('a stream that is deleted and created anew, with shards of the same names and other ranges', () => {
  test('what was packed for the old one is packed again once it is known to be gone', async () => {
    const { clock, kinesis, producer, put } = await startedBench({ maxRequestsInFlight: 1 })
    kinesis.putFaults.push({ kind: 'reject', name: 'ResourceNotFoundException' })
    const gone = put('a')
    void producer.flush()
    const puts = [put('b', 1n), put('c', HALF)]
    void producer.flush()
    kinesis.recreate(2)
    await clock.advanceAsync(1000)
    expect(await gone).toMatchObject({ name: 'DeliveryFailedError', serviceCode: 'ResourceNotFoundException' })
    expect(await outcomes(puts)).toEqual([0, 0])
    expect(ids(kinesis).sort()).toEqual(['b', 'c'])
  })

  test('what was packed for the old one is packed again once a listing shows the new one', async () => {
    const { clock, kinesis, producer, put } = await startedBench()
    kinesis.recreate(2)
    kinesis.putFaults.push(undefined, { kind: 'refuse', places: [0], code: 'InternalFailure' })
    const puts = [put('a', HALF)]
    void producer.flush()
    puts.push(put('b', 1n), put('c', HALF + 1n))
    void producer.flush()
    await clock.advanceAsync(1000)
    expect(await outcomes(puts)).toEqual([0, 0, 0])
    expect(ids(kinesis).sort()).toEqual(['a', 'b', 'c'])
  })

  test('an answer that comes after the listing is judged by the range that the members were predicted by', async () => {
    const { clock, kinesis, producer, put } = await startedBench()
    kinesis.recreate(2)
    kinesis.latencyMs = 200
    const puts = [put('b', 1n), put('c', HALF + 1n)]
    void producer.flush()
    kinesis.latencyMs = 10
    puts.push(put('a', HALF))
    void producer.flush()
    await clock.advanceAsync(1000)
    expect(await outcomes(puts)).toEqual([0, 0, 0])
    expect(new Set(ids(kinesis))).toEqual(new Set(['a', 'b', 'c']))
  })

  test('is not taken for one that the service distributes', async () => {
    const { clock, kinesis, producer, put } = await startedBench({}, 4)
    kinesis.recreate(2)
    const puts = [put('a', QUARTER), put('b', QUARTER + 1n)]
    await clock.advanceAsync(1000)
    const more = [put('c', QUARTER), put('d', 1n)]
    await clock.advanceAsync(1000)
    expect((await outcomes([...puts, ...more])).slice(2)).toEqual([0, 1])
    expect(producer.stats().openShards).toBe(2)
  })

  test('is known by its sequence numbers where ids and ranges are the same', async () => {
    const { clock, kinesis, producer, put } = await startedBench({ aggregation: 'off' }, 2)
    kinesis.split(0)
    const first = put('a', 1n)
    await clock.advanceAsync(1000)
    expect([await outcomes([first]), producer.stats().openShards]).toEqual([[0], 3])
    kinesis.recreate(2)
    const second = put('b', 1n)
    await clock.advanceAsync(1000)
    expect([await outcomes([second]), producer.stats().openShards]).toEqual([[0], 2])
  })
})

describe('order', () => {
  test('a final failure after a merge halts all whose queued records went down with it', async () => {
    const { clock, kinesis, put } = await startedBench({ ordering: 'perShard', aggregation: 'off', lingerMs: 0 }, 2)
    kinesis.latencyMs = 2000
    kinesis.putFaults.push({ kind: 'reject', name: 'KMSDisabledException' })
    const puts = [put('left', 1n)]
    await clock.advanceAsync(1)
    kinesis.latencyMs = 10
    kinesis.merge(0)
    puts.push(put('right', HALF))
    await clock.advanceAsync(100)
    puts.push(put('right', HALF))
    await clock.advanceAsync(1500)
    puts.push(put('right', HALF))
    await clock.advanceAsync(100)
    expect(await outcomes(puts)).toEqual(['DeliveryFailedError', 0, 'LaneHaltedError', 'LaneHaltedError'])
  })

  test('an aggregate that expires after a split halts both children', async () => {
    const options = { ordering: 'perShard', recordTtlMs: 250, requestTimeoutMs: 300, lingerMs: 0 } as const
    const { clock, kinesis, put, events } = await startedBench(options, 2)
    kinesis.putFaults.push({ kind: 'hang' })
    const puts = [put('left', 1n), put('right', QUARTER)]
    await clock.advanceAsync(1)
    kinesis.split(0)
    kinesis.split(2)
    puts.push(put('other', HALF))
    await clock.advanceAsync(200)
    puts.push(put('right', QUARTER))
    await clock.advanceAsync(1000)
    expect(await outcomes(puts)).toEqual(['DeliveryFailedError', 'DeliveryFailedError', 0, 'LaneHaltedError'])
    expect(events.filter((event) => event.type === 'lane-halted')).toHaveLength(2)
  })

  test('a listener may resume and put the failed records again', async () => {
    const { clock, kinesis, producer, put } = await startedBench({ ordering: 'perShard', aggregation: 'off', lingerMs: 0 })
    kinesis.putFaults.push({ kind: 'reject', name: 'KMSDisabledException' })
    const again: Promise<unknown>[] = []
    producer.events.on('lane-halted', () => {
      producer.resume()
      for (const id of ['a', 'b', 'c']) again.push(put(id, 1n))
    })
    const puts = ['a', 'b', 'c'].map((id) => put(id, 1n))
    await clock.advanceAsync(1000)
    expect(await outcomes(puts)).toEqual(['DeliveryFailedError', 'LaneHaltedError', 'LaneHaltedError'])
    expect(await Promise.all(again)).toMatchObject([{ attempts: 1 }, { attempts: 1 }, { attempts: 1 }])
    expect(ids(kinesis)).toEqual(['a', 'b', 'c'])
  })

  test.each(['perShard', 'perKey'] as const)(
    'who resumes at once lets nothing through that was put before the gap was seen: %s',
    async (ordering) => {
      const options = { ordering, aggregation: 'off', lingerMs: 0, maxBufferedRecords: 2 } as const
      const { clock, kinesis, producer } = await startedBench(options)
      const put = (id: string) => producer.put({ partitionKey: 'key', data: Buffer.from(id) })
      kinesis.putFaults.push({ kind: 'reject', name: 'KMSDisabledException' })
      const again: Promise<PutResult | Error>[] = []
      producer.events.on('lane-halted', () => {
        producer.resume()
        again.push(put('a'))
      })
      // The last two wait for room.
      const puts = ['a', 'b', 'c', 'd'].map((id) => put(id).catch((error: Error) => error))
      await clock.advanceAsync(1000)
      expect(await outcomes(puts)).toEqual(['DeliveryFailedError', 'LaneHaltedError', 'LaneHaltedError', 'LaneHaltedError'])
      expect([await outcomes(again), ids(kinesis)]).toEqual([[0], ['a']])
    },
  )

  test.each(['perShard', 'perKey'] as const)('the same while records wait for a map: %s', async (ordering) => {
    const options = { ordering, aggregation: 'off', lingerMs: 0, recordTtlMs: 1000 } as const
    const { clock, kinesis, producer } = bench(options)
    const put = (id: string) => producer.put({ partitionKey: 'key', data: Buffer.from(id) })
    let isBlind = true
    kinesis.controlFault = () => (isBlind ? named('LimitExceededException') : undefined)
    const again: Promise<PutResult | Error>[] = []
    const first = put('a').catch((error: Error) => {
      producer.resume()
      again.push(put('a'))
      isBlind = false
      return error
    })
    await clock.advanceAsync(900)
    const puts = [first, put('b').catch((error: Error) => error)]
    await clock.advanceAsync(5000)
    expect(await outcomes(puts)).toEqual(['DeliveryFailedError', 'LaneHaltedError'])
    expect([await outcomes(again), ids(kinesis)]).toEqual([[0], ['a']])
  })

  test('a stream that cannot be used halts everything, also what waits for room', async () => {
    const { clock, kinesis, producer, put, types } = bench({ ordering: 'perShard', maxBufferedRecords: 1 })
    let denied = false
    kinesis.controlFault = () => {
      const fault = denied ? undefined : named('AccessDeniedException')
      denied ||= fault !== undefined
      return fault
    }
    kinesis.describeStreamSummary = async () => ({ StreamDescriptionSummary: { StreamName: 'flights', StreamStatus: 'ACTIVE' } })
    const puts = [put('a'), put('b')]
    await clock.advanceAsync(1000)
    puts.push(put('c'))
    await clock.advanceAsync(1000)
    expect(await outcomes(puts)).toEqual(['StreamUnusableError', 'LaneHaltedError', 'LaneHaltedError'])
    expect(types()).toContain('lane-halted')
    producer.resume()
    const again = put('a')
    await clock.advanceAsync(1000)
    expect(await outcomes([again])).toEqual([0])
  })

  test('a stream that is lost from view keeps what was sent before ahead of what is queued', async () => {
    const { clock, kinesis, put } = await startedBench({ ordering: 'perShard', aggregation: 'off', lingerMs: 0 }, 2)
    kinesis.latencyMs = 100
    kinesis.putFaults.push({ kind: 'reject', name: 'ECONNRESET' })
    const puts = [put('a', 1n), put('a2', 1n)]
    await clock.advanceAsync(1)
    kinesis.latencyMs = 50
    kinesis.putFaults.push({ kind: 'reject', name: 'ResourceNotFoundException' })
    const gone = put('z', HALF)
    let listings = 0
    kinesis.controlFault = () => (listings++ < 4 ? named('LimitExceededException') : undefined)
    await clock.advanceAsync(5000)
    expect(await outcomes([gone, ...puts])).toEqual(['DeliveryFailedError', 0, 0])
    expect(ids(kinesis)).toEqual(['a', 'a2'])
  })
})

describe('service-managed distribution that comes and goes', () => {
  test('while a request is under way and a record waits to be sent again', async () => {
    const { clock, kinesis, put } = await startedBench({ retry: { baseMs: 1000 }, lingerMs: 0 }, 2)
    kinesis.latencyMs = 2000
    kinesis.putFaults.push({ kind: 'reject', name: 'KMSDisabledException' })
    const puts = [put('a', 1n)]
    await clock.advanceAsync(1)
    kinesis.latencyMs = 10
    flipOnce(kinesis)
    puts.push(put('b', 2n))
    await clock.advanceAsync(700)
    kinesis.putFaults.push({ kind: 'refuse', places: [0], code: 'ProvisionedThroughputExceededException' })
    puts.push(put('c', 3n))
    await clock.advanceAsync(5000)
    expect(await outcomes(puts)).toEqual(['DeliveryFailedError', 0, 0])
  })

  test('a probe that is not permitted does not overrule what was seen', async () => {
    const { clock, kinesis, producer, put, events } = bench({}, 2)
    kinesis.controlFault = (operation) => (operation === 'DescribeStreamSummary' ? named('AccessDeniedException') : undefined)
    const started = producer.start()
    await clock.advanceAsync(100)
    await started
    flipOnce(kinesis)
    const puts = [put('a', 1n), put('b', 2n)]
    await clock.advanceAsync(1000)
    puts.push(put('c', 3n), put('d', 4n))
    await clock.advanceAsync(1000)
    expect(await outcomes(puts)).toEqual([0, 0, 0, 0])
    expect(events.filter((event) => event.type === 'distribution-changed')).toHaveLength(1)
  })
})

/** The next PutRecords lands in the other half. */
function flipOnce(kinesis: SimulatedKinesis): void {
  const { putRecords } = kinesis
  kinesis.putRecords = (input, options) => {
    kinesis.putRecords = putRecords
    const Records = input.Records.map((entry) => ({
      ...entry,
      ExplicitHashKey: (BigInt(entry.ExplicitHashKey ?? '0') ^ HALF).toString(),
    }))
    return putRecords.call(kinesis, { ...input, Records }, options)
  }
}

describe('waiting', () => {
  test('what waits for a stream that was lost fails in its time, whatever lane it comes from', async () => {
    const { clock, kinesis, put } = await startedBench({ aggregation: 'off', lingerMs: 500, recordTtlMs: 1000 }, 2)
    kinesis.latencyMs = 300
    kinesis.putFaults.push({ kind: 'reject', name: 'ResourceNotFoundException' })
    const sent = put('left', 1n)
    await clock.advanceAsync(550)
    const settled: string[] = []
    const waiting = [put('right', HALF)]
    await clock.advanceAsync(50)
    kinesis.controlFault = () => named('LimitExceededException')
    waiting.push(put('left again', 1n))
    for (const result of waiting)
      void result.then((error) => settled.push((error as { partitionKey?: string }).partitionKey ?? ''))
    await clock.advanceAsync(100)
    expect(await outcomes([sent])).toEqual(['DeliveryFailedError'])
    await clock.advanceAsync(875)
    expect(settled).toEqual(['right'])
    await clock.advanceAsync(100)
    expect(settled).toEqual(['right', 'left again'])
  })

  test('what comes back to wait for the stream expires in its time, though younger records came back after it', async () => {
    const { clock, kinesis, put } = await startedBench({ lingerMs: 0, recordTtlMs: 4000, requestTimeoutMs: 3500 })
    const settled: string[] = []
    const send = (id: string, latencyMs: number): void => {
      kinesis.latencyMs = latencyMs
      void put(id).then(() => settled.push(id))
    }
    kinesis.putFaults.push({ kind: 'lose' }, { kind: 'lose' }, { kind: 'reject', name: 'ResourceNotFoundException' })
    kinesis.controlFault = () => named('LimitExceededException')
    send('old', 3000)
    await clock.advanceAsync(2900)
    send('young', 200)
    await clock.advanceAsync(50)
    send('refused', 10)
    await clock.advanceAsync(1049)
    expect(settled).toEqual(['refused'])
    await clock.advanceAsync(1)
    expect(settled).toEqual(['refused', 'old'])
    await clock.advanceAsync(2899)
    expect(settled).toEqual(['refused', 'old'])
    await clock.advanceAsync(1)
    expect(settled).toEqual(['refused', 'old', 'young'])
  })

  test('what expires while it waits for a free request is not sent', async () => {
    const { clock, kinesis, put } = await startedBench({
      ...{ maxRequestsInFlight: 1, lingerMs: 0, recordTtlMs: 1000, requestTimeoutMs: 5000 },
    })
    kinesis.putFaults.push({ kind: 'hang' })
    void put('a')
    await clock.advanceAsync(10)
    const late = put('b')
    let settled = false
    void late.then(() => {
      settled = true
    })
    await clock.advanceAsync(1100)
    expect(settled).toBe(true)
    expect(await late).toMatchObject({ name: 'DeliveryFailedError', attempts: 0, written: 'no', reason: 'expired' })
    await clock.advanceAsync(10_000)
    expect(kinesis.requests.flatMap(({ Records }) => Records.map((entry) => entry.PartitionKey))).toEqual(['a'])
  })

  test('a settlement that waits for the map outlives a listing that is refused', async () => {
    const { clock, kinesis, put } = await startedBench()
    kinesis.split(0)
    let refusals = 1
    kinesis.controlFault = () => (refusals-- > 0 ? named('AccessDeniedException') : undefined)
    const puts = [put('a', 1n), put('b', 2n)]
    await clock.advanceAsync(2000)
    expect(await outcomes(puts)).toEqual([0, 1])
  })

  test('what a listener puts goes as soon as what anyone puts', async () => {
    const { clock, kinesis, producer, put } = await startedBench({
      ...{ aggregation: 'off', lingerMs: 60_000, recordTtlMs: 120_000, maxBufferedRecords: 1 },
    })
    // As much as one shard gets in a request: it does not linger.
    const data = new Uint8Array(300_000)
    producer.events.on('backpressure-off', () => void producer.put({ partitionKey: 'b', data }))
    const first = put('a')
    expect(producer.offer({ partitionKey: 'b', data })).toBe(false)
    void producer.flush()
    await clock.advanceAsync(1000)
    expect(await outcomes([first])).toEqual([0])
    expect(kinesis.requests).toHaveLength(2)
  })
})

describe('what callers do to their records', () => {
  test('data that was handed to another thread fails its record and no other', async () => {
    const { clock, put, producer } = bench()
    const data = new Uint8Array(new ArrayBuffer(10))
    const spoilt = producer.put({ partitionKey: 'a', data }).catch((error: Error) => error)
    structuredClone(data.buffer, { transfer: [data.buffer] })
    const next = put('b')
    await clock.advanceAsync(1000)
    expect(await spoilt).toMatchObject({ name: 'DeliveryFailedError', reason: 'refused', written: 'no', attempts: 0 })
    expect(await outcomes([next])).toEqual([0])
    await expect(producer.put({ partitionKey: 'a', data })).rejects.toThrow(/handed over/)
  })

  test('two hundred thousand small records in one aggregate', { timeout: 60_000 }, async () => {
    const { clock, kinesis, producer, put } = await startedBench({
      ...{ ordering: 'perShard', lingerMs: 0, aggregateMaxBytes: 10_485_760, aggregateMaxRecords: 1_000_000 },
      maxBufferedRecords: 1_000_000,
    })
    kinesis.latencyMs = 50
    kinesis.putFaults.push({ kind: 'reject', name: 'KMSDisabledException' })
    const first = put('a')
    await clock.advanceAsync(1)
    const record = { partitionKey: 'a', data: new Uint8Array(0) }
    for (let i = 0; i < 200_000; i++) producer.offer(record)
    await clock.advanceAsync(1000)
    expect(await outcomes([first])).toEqual(['DeliveryFailedError'])
    expect(producer.stats()).toMatchObject({ bufferedRecords: 0, failed: 200_001 })
  })
})
