import type { PutRecordsResult } from '@shardwise/core/kinesis-port'
import { describe, expect, test } from 'vitest'
import {
  DeliveryFailedError,
  LaneHaltedError,
  ProducerClosedError,
  RecordRejectedError,
  StreamUnusableError,
} from './producer-error.js'
import { bench, outcomes, startedBench } from './testing/producer-bench.js'
import { named, type SimulatedKinesis } from './testing/simulated-kinesis.js'

const HALF = 2n ** 127n

describe('before there is a map', () => {
  test('records wait, in order, and are packed', async () => {
    const { clock, kinesis, put } = bench()
    let failures = 2
    kinesis.controlFault = (operation) =>
      operation === 'ListShards' && failures-- > 0 ? named('LimitExceededException') : undefined
    const puts = [put('a'), put('b')]
    await clock.advanceAsync(2000)
    expect(await outcomes(puts)).toEqual([0, 1])
  })

  test.each([['AccessDeniedException'], ['ResourceNotFoundException'], ['CredentialsProviderError']])(
    '%s rejects what waits',
    async (name) => {
      const { clock, kinesis, producer, put } = bench()
      kinesis.controlFault = (operation) => (operation === 'ListShards' ? named(name) : undefined)
      const started = producer.start().catch((error: Error) => error)
      const waiting = put('a')
      await clock.advanceAsync(100)
      expect(await waiting).toMatchObject({ name: 'StreamUnusableError', serviceCode: name, stream: 'flights' })
      expect(await started).toBeInstanceOf(StreamUnusableError)
      kinesis.controlFault = () => undefined
      const next = put('b')
      await clock.advanceAsync(300)
      expect(await next).toMatchObject({ subSequenceNumber: 0 })
    },
  )

  test('what waits expires with the reason for waiting', async () => {
    const { clock, kinesis, producer, put } = bench({ recordTtlMs: 1000 })
    kinesis.controlFault = () => Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' })
    const started = producer.start().catch((error: Error) => error)
    const waiting = put('a')
    await clock.advanceAsync(20_000)
    expect(await waiting).toMatchObject({
      name: 'DeliveryFailedError',
      written: 'no',
      attempts: 0,
      reason: 'expired',
      serviceCode: 'ECONNREFUSED',
    })
    expect(await started).toMatchObject({ name: 'StreamUnusableError', serviceCode: 'ECONNREFUSED' })
  })

  test('a stream in creation is waited for', async () => {
    const { clock, kinesis, producer } = bench()
    const describe = kinesis.describeStreamSummary.bind(kinesis)
    kinesis.describeStreamSummary = async (input, options) => {
      const { StreamDescriptionSummary: summary } = await describe(input, options)
      return { StreamDescriptionSummary: { ...summary!, StreamStatus: clock.now() < 10_000 ? 'CREATING' : 'ACTIVE' } }
    }
    const started = producer.start()
    await clock.advanceAsync(20_000)
    await started
    expect(producer.stats().openShards).toBe(1)
  })

  test('an attempt to start that failed leaves nothing running', async () => {
    const { clock, kinesis, producer } = bench()
    kinesis.controlFault = () => named('LimitExceededException')
    const started = producer.start().catch((error: Error) => error)
    await clock.advanceAsync(10_000)
    expect(await started).toBeInstanceOf(StreamUnusableError)
    expect(clock.pendingTimers).toBe(0)
  })

  test('a probe that is not permitted is done without', async () => {
    const { clock, kinesis, put, types } = bench()
    kinesis.controlFault = (operation) => (operation === 'DescribeStreamSummary' ? named('AccessDeniedException') : undefined)
    const puts = [put('a'), put('b')]
    await clock.advanceAsync(300)
    expect(await outcomes(puts)).toEqual([0, 1])
    expect(types()).toContain('probe-denied')
  })
})

describe('failures', () => {
  test('what the service refuses for good fails at once', async () => {
    const { clock, kinesis, put } = bench()
    kinesis.putFaults.push({ kind: 'reject', name: 'KMSDisabledException' })
    const puts = [put('a'), put('b')]
    await clock.advanceAsync(300)
    for (const error of await Promise.all(puts)) {
      expect(error).toBeInstanceOf(DeliveryFailedError)
      expect(error).toMatchObject({ written: 'no', attempts: 1, reason: 'refused', serviceCode: 'KMSDisabledException' })
    }
  })

  test('a stream that is gone is looked up anew', async () => {
    const { clock, kinesis, put } = bench()
    kinesis.putFaults.push({ kind: 'reject', name: 'ResourceNotFoundException' })
    const lost = put('a')
    await clock.advanceAsync(300)
    expect(await lost).toMatchObject({ name: 'DeliveryFailedError', serviceCode: 'ResourceNotFoundException' })
    const [lists, next] = [kinesis.listShardsCalls, put('b')]
    await clock.advanceAsync(500)
    expect(await next).toMatchObject({ attempts: 1 })
    expect(kinesis.listShardsCalls).toBe(lists + 1)
  })

  test.each(['lose', 'hang'] as const)('an answer that is lost (%s) may duplicate', async (kind) => {
    const { clock, kinesis, producer, put } = bench({ requestTimeoutMs: 1000 })
    kinesis.putFaults.push({ kind })
    const puts = [put('a'), put('b')]
    await clock.advanceAsync(3000)
    expect(await Promise.all(puts)).toMatchObject([{ attempts: 2 }, { attempts: 2 }])
    expect(producer.stats()).toMatchObject({ possibleDuplicates: 2, requestsFailed: 1 })
    expect(kinesis.readable().map(({ id }) => id)).toEqual(['a', 'b', 'a', 'b'])
  })

  test('the bytes of a request that was given up stay as they are, since someone may still be sending them', async () => {
    const { clock, kinesis, put } = bench({ requestTimeoutMs: 1000, aggregateMaxBytes: 100 })
    const { putRecords } = kinesis
    const seen: { data: Uint8Array; copy: Uint8Array }[] = []
    kinesis.putFaults.push({ kind: 'hang' })
    kinesis.putRecords = (input, options) => {
      if (seen.length === 0) seen.push(...input.Records.map(({ Data }) => ({ data: Data, copy: Data.slice() })))
      return putRecords.call(kinesis, input, options)
    }
    const puts = [put('a'.repeat(12)), put('b'.repeat(12))]
    await clock.advanceAsync(3000)
    puts.push(put('c'.repeat(12)), put('d'.repeat(12)))
    await clock.advanceAsync(3000)
    expect(await outcomes(puts)).toEqual([0, 1, 0, 1])
    expect(seen).toHaveLength(1)
    expect(seen[0]!.data).toEqual(seen[0]!.copy)
  })

  test('a wrong number of results fails the request, with the fate unknown', async () => {
    const { clock, kinesis, put } = bench({ aggregation: 'off' })
    kinesis.putFaults.push({ kind: 'miscount' })
    const puts = [put('a'), put('b')]
    await clock.advanceAsync(300)
    const fields = {
      name: 'DeliveryFailedError',
      written: 'unknown',
      reason: 'malformed-response',
      serviceCode: 'ResultCountMismatch',
    }
    expect(await Promise.all(puts)).toMatchObject([fields, fields])
    expect(kinesis.requests).toHaveLength(1)
  })

  test('expires after its time to live, with the last reason', async () => {
    const { clock, kinesis, put, events } = bench({ recordTtlMs: 2000 })
    for (let i = 0; i < 100; i++)
      kinesis.putFaults.push({ kind: 'refuse', places: [0], code: 'ProvisionedThroughputExceededException' })
    const lost = put('a')
    await clock.advanceAsync(3000)
    const error = await lost
    expect(error).toMatchObject({ name: 'DeliveryFailedError', written: 'no', reason: 'expired' })
    expect((error as DeliveryFailedError).attempts).toBeGreaterThan(3)
    expect((error as DeliveryFailedError).message).toMatch(
      /"a" was not delivered within recordTtlMs \(2000\), after \d+ attempts/,
    )
    expect(events.slice(-2)).toMatchObject([
      { type: 'record-failed', partitionKey: 'a', error },
      { type: 'records-expired', userRecords: 1, neverSent: 0 },
    ])
  })

  test('an aggregate in a shard that is never listed ends with its fate unknown', async () => {
    const { clock, kinesis, put } = bench({ recordTtlMs: 2000 })
    const { putRecords } = kinesis
    kinesis.putRecords = async (input, options) => {
      const { Records } = await putRecords.call(kinesis, input, options)
      return { Records: Records!.map((result): PutRecordsResult => ({ ...result, ShardId: 'shardId-000000000099' })) }
    }
    const puts = [put('a'), put('b')]
    await clock.advanceAsync(3000)
    const fields = { name: 'DeliveryFailedError', written: 'unknown', serviceCode: 'UnknownShard' }
    expect(await Promise.all(puts)).toMatchObject([fields, fields])
  })
})

describe('order', () => {
  test('one Kinesis record of a shard at a time, each in its own request', async () => {
    const { clock, kinesis, put } = bench({ ordering: 'perShard', aggregation: 'off' })
    const puts = ['a', 'b', 'c'].map((id) => put(id))
    await clock.advanceAsync(500)
    expect(await outcomes(puts)).toEqual([0, 0, 0])
    expect(kinesis.requests.map((request) => request.Records.map((entry) => entry.PartitionKey))).toEqual([['a'], ['b'], ['c']])
  })

  test('a final failure halts the shard until resumed', async () => {
    const { clock, kinesis, producer, put, types } = bench({ ordering: 'perShard', aggregation: 'off' }, 2)
    kinesis.putFaults.push({ kind: 'reject', name: 'KMSDisabledException' })
    const puts = [put('a', 1n), put('b', 2n), put('c', 3n)]
    await clock.advanceAsync(500)
    expect(await outcomes(puts)).toEqual(['DeliveryFailedError', 'LaneHaltedError', 'LaneHaltedError'])
    expect(types()).toContain('lane-halted')
    const [halted, other] = [put('d', 1n), put('e', HALF + 1n)]
    await clock.advanceAsync(500)
    expect(await outcomes([halted, other])).toEqual(['LaneHaltedError', 0])
    expect(() => producer.offer({ partitionKey: 'f', explicitHashKey: '1', data: new Uint8Array(1) })).toThrow(LaneHaltedError)
    producer.resume()
    const again = put('a', 1n)
    await clock.advanceAsync(500)
    expect(await again).toMatchObject({ attempts: 1 })
  })

  test('a record that expires in the queue lets none of its shard past', async () => {
    const { clock, kinesis, put } = bench({ ordering: 'perShard', aggregation: 'off', recordTtlMs: 1000, lingerMs: 0 })
    const first = put('a')
    await clock.advanceAsync(100)
    expect(await first).toMatchObject({ attempts: 1 })
    // The answer for c comes at the very time at which d expires.
    kinesis.latencyMs = 500
    const early = [put('b'), put('c'), put('d')]
    await clock.advanceAsync(950)
    const late = put('e')
    await clock.advanceAsync(5000)
    expect(await outcomes([...early, late])).toEqual([0, 0, 'DeliveryFailedError', 'LaneHaltedError'])
    expect(kinesis.readable().map(({ id }) => id)).toEqual(['a', 'b', 'c'])
  })

  test('is refused on a stream that the service distributes', async () => {
    const { clock, kinesis, put } = bench({ ordering: 'perShard' })
    makeAuto(kinesis)
    const refused = put('a')
    await clock.advanceAsync(300)
    expect(await refused).toMatchObject({ name: 'StreamUnusableError', serviceCode: 'AutoDistribution' })
  })
})

function makeAuto(kinesis: SimulatedKinesis): void {
  const describe = kinesis.describeStreamSummary.bind(kinesis)
  kinesis.describeStreamSummary = async (input, options) => {
    const { StreamDescriptionSummary: summary } = await describe(input, options)
    return { StreamDescriptionSummary: { ...summary!, RecordDistributionStrategy: 'AUTO' } }
  }
}

describe('service-managed distribution', () => {
  test('nothing is aggregated', async () => {
    const { clock, kinesis, put } = bench({}, 2)
    makeAuto(kinesis)
    const puts = [put('a'), put('b')]
    await clock.advanceAsync(300)
    expect(await outcomes(puts)).toEqual([0, 0])
    expect(kinesis.requests.map((request) => request.Records.length)).toEqual([2])
  })

  test('a switch on the live stream is noticed by where a record lands', async () => {
    const { clock, kinesis, producer, put, events } = bench({}, 2)
    const started = producer.start()
    await clock.advanceAsync(100)
    await started
    makeAuto(kinesis)
    const { putRecords } = kinesis
    kinesis.putRecords = async (input, options) => {
      // As AUTO does: wherever the service likes, here always the other half.
      const Records = input.Records.map((entry) => ({
        ...entry,
        ExplicitHashKey: (BigInt(entry.ExplicitHashKey ?? '0') ^ HALF).toString(),
      }))
      return putRecords.call(kinesis, { ...input, Records }, options)
    }
    const puts = [put('a', 1n), put('b', 2n)]
    await clock.advanceAsync(1000)
    expect(await Promise.all(puts)).toMatchObject([
      { attempts: 2, subSequenceNumber: 0 },
      { attempts: 2, subSequenceNumber: 0 },
    ])
    expect(events.filter((event) => event.type === 'distribution-changed')).toEqual([
      { type: 'distribution-changed', stream: 'flights', distribution: 'auto' },
    ])
    expect(kinesis.requests.map((request) => request.Records.length)).toEqual([1, 2])
    expect(kinesis.describeCalls).toBe(2)
  })
})

describe('limits', () => {
  test('a shard gets no more than it takes', async () => {
    const { clock, kinesis, producer, put } = bench({ aggregation: 'off' })
    const puts = Array.from({ length: 2500 }, (_, i) => put(`${i}`))
    await clock.advanceAsync(1000)
    const sent = (): number => kinesis.requests.reduce((sum, request) => sum + request.Records.length, 0)
    expect(sent()).toBeLessThanOrEqual(2000)
    await clock.advanceAsync(2000)
    expect(await outcomes(puts)).toEqual(Array(2500).fill(0))
    expect(producer.stats().limited).toBeGreaterThan(0)
    expect(Math.max(...kinesis.requests.map((request) => request.Records.length))).toBeLessThanOrEqual(500)
  })

  test('a record above what the stream takes is refused when put, or when the stream is known', async () => {
    const { clock, producer, put } = bench()
    const early = put('x')
    const tooLate = producer.put({ partitionKey: 'a', data: new Uint8Array(1_048_576) }).catch((error: Error) => error)
    await clock.advanceAsync(300)
    expect(await early).toMatchObject({ attempts: 1 })
    expect(await tooLate).toMatchObject({ name: 'RecordRejectedError', field: 'data' })
    expect(() => producer.offer({ partitionKey: 'a', data: new Uint8Array(1_048_576) })).toThrow(
      /1048577 bytes, and stream flights takes at most 1048576/,
    )
  })

  test('put waits for room in line, offer does not, and ready tells', async () => {
    const { clock, producer, put, types } = await startedBench({ maxBufferedRecords: 2 })
    const puts = [put('a'), put('b'), put('c')]
    expect(producer.stats()).toMatchObject({ bufferedRecords: 2, waitingForRoom: 1 })
    expect(producer.offer({ partitionKey: 'd', data: new Uint8Array(1) })).toBe(false)
    let ready = false
    const waited = producer.ready().then(() => {
      ready = true
    })
    await clock.advanceAsync(5)
    expect([ready, types().includes('backpressure-on')]).toEqual([false, true])
    await clock.advanceAsync(500)
    await waited
    expect(await outcomes(puts)).toEqual([0, 1, 0])
    expect(producer.offer({ partitionKey: 'd', data: new Uint8Array(1) })).toBe(true)
    expect(types()).toContain('backpressure-off')
  })
})

describe('flush and close', () => {
  test('flush sends at once and ends when all that was put before has settled', async () => {
    const { clock, producer, put } = bench({ lingerMs: 60_000, recordTtlMs: 100_000 })
    const first = put('a')
    let flushed = false
    const flush = producer.flush().then(() => {
      flushed = true
    })
    void put('b')
    await clock.advanceAsync(25)
    expect(flushed).toBe(false)
    await clock.advanceAsync(10)
    await flush
    expect([flushed, await first]).toMatchObject([true, { attempts: 1 }])
    expect(producer.stats().bufferedRecords).toBe(0)
  })

  test('close flushes, refuses puts, and may be called again', async () => {
    const { clock, producer, put } = bench()
    const last = put('a')
    const closing = producer.close()
    expect(producer.close()).toBe(closing)
    expect(await put('b')).toBeInstanceOf(ProducerClosedError)
    expect(() => producer.offer({ partitionKey: 'b', data: new Uint8Array(1) })).toThrow(ProducerClosedError)
    await expect(producer.ready()).rejects.toThrow(ProducerClosedError)
    await clock.advanceAsync(300)
    await closing
    expect(await last).toMatchObject({ attempts: 1 })
    expect(clock.pendingTimers).toBe(0)
  })

  test('close before and during start settles', async () => {
    const never = bench()
    await never.producer.close()
    await expect(never.producer.start()).rejects.toThrow(ProducerClosedError)
    const during = bench()
    const started = during.producer.start()
    await Promise.all([during.producer.close(), expect(started).rejects.toThrow(ProducerClosedError)])
    await during.clock.advanceAsync(0)
    expect(during.clock.pendingTimers).toBe(0)
  })

  test('nothing buffered, no timer', async () => {
    const { clock, producer, put } = bench()
    const sent = put('a')
    await clock.advanceAsync(300)
    await sent
    expect([clock.pendingTimers, producer.stats().requestsInFlight]).toEqual([0, 0])
  })

  test('refuses a bad record without sending anything', async () => {
    const { producer, kinesis } = bench()
    await expect(producer.put({ partitionKey: '', data: new Uint8Array(1) })).rejects.toThrow(RecordRejectedError)
    expect([kinesis.listShardsCalls, producer.stats().accepted]).toEqual([0, 0])
  })
})
