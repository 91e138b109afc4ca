import { describe, expect, test } from 'vitest'
import type { ProducerOptions } from './producer-options.js'
import { startedBench } from './testing/producer-bench.js'
import type { PutFault } from './testing/simulated-kinesis.js'

const QUOTA = 'ProvisionedThroughputExceededException'
const refuse = (code: string): PutFault => ({ kind: 'refuse', places: [0], code })
const reject = (name: string): PutFault => ({ kind: 'reject', name })

/** Three records of one shard, of which the first meets these faults and the others come when it is under way. */
async function fates(options: Partial<ProducerOptions>, faults: readonly PutFault[]): Promise<unknown[]> {
  const { clock, kinesis, put } = await startedBench({ aggregation: 'off', lingerMs: 0, ...options })
  kinesis.putFaults.push(...faults)
  const puts = [put('first')]
  await clock.advanceAsync(1)
  puts.push(put('second'), put('third'))
  await clock.advanceAsync(20_000)
  const results = await Promise.all(puts)
  const delivered = ['first', 'second', 'third'].filter((_, i) => !(results[i] instanceof Error))
  expect(kinesis.readable().map(({ id }) => id)).toEqual(options.ordering ? delivered : expect.arrayContaining(delivered))
  return results
}

const OK = { sequenceNumber: expect.any(String) }
const HALTED = { name: 'LaneHaltedError', written: 'no' }

describe('retry.maxAttempts', () => {
  test.each<[string, PutFault, object]>([
    ['its shard refuses the record', refuse(QUOTA), { serviceCode: QUOTA, written: 'no' }],
    ['the service refuses the request', reject(QUOTA), { serviceCode: QUOTA, written: 'no' }],
    ['the answer is lost', { kind: 'lose' }, { serviceCode: 'ECONNRESET', written: 'unknown' }],
    ['the service fails at the record', refuse('InternalFailure'), { serviceCode: 'InternalFailure' }],
  ])('the record fails with the last of them where %s', async (_, fault, failure) => {
    const { clock, kinesis, put } = await startedBench({ aggregation: 'off', lingerMs: 0, retry: { maxAttempts: 3 } })
    kinesis.putFaults.push(fault, fault, fault)
    const stuck = put('stuck')
    await clock.advanceAsync(20_000)
    expect(await stuck).toMatchObject({ name: 'DeliveryFailedError', reason: 'attempts-exhausted', attempts: 3, ...failure })
    expect(kinesis.requests).toHaveLength(3)
  })

  test('what succeeds with the last attempt is delivered', async () => {
    expect(await fates({ retry: { maxAttempts: 2 } }, [refuse(QUOTA)])).toMatchObject([{ attempts: 2 }, OK, OK])
  })

  test.each<[Partial<ProducerOptions>, object[]]>([
    [{ ordering: 'none' }, [OK, OK]],
    [{ ordering: 'perShard' }, [HALTED, HALTED]],
    [{ ordering: 'perShard', afterFailure: 'continue' }, [OK, OK]],
    // Other keys.
    [{ ordering: 'perKey' }, [OK, OK]],
  ])('%j: what follows one that has used them up', async (options, others) => {
    const exhausted = { reason: 'attempts-exhausted', attempts: 1, written: 'no' }
    expect(await fates({ ...options, retry: { maxAttempts: 1 } }, [refuse(QUOTA)])).toMatchObject([exhausted, ...others])
  })
})

describe('failIfThrottled', () => {
  const throttled = { name: 'DeliveryFailedError', reason: 'throttled', attempts: 1, written: 'no', serviceCode: QUOTA }

  test.each<[Partial<ProducerOptions>, PutFault, object[]]>([
    [{}, refuse(QUOTA), [throttled, OK, OK]],
    [{}, reject(QUOTA), [throttled, OK, OK]],
    [{}, refuse('InternalFailure'), [{ attempts: 2 }, OK, OK]],
    [{ ordering: 'perShard' }, refuse(QUOTA), [throttled, HALTED, HALTED]],
    [{ ordering: 'perShard', afterFailure: 'continue' }, refuse(QUOTA), [throttled, OK, OK]],
    [{ ordering: 'perKey' }, refuse(QUOTA), [throttled, OK, OK]],
  ])('%j, %j', async (options, fault, expected) => {
    expect(await fates({ ...options, failIfThrottled: true }, [fault])).toMatchObject(expected)
  })

  test('every member of an aggregate', async () => {
    const { clock, kinesis, put } = await startedBench({ failIfThrottled: true })
    kinesis.putFaults.push(refuse(QUOTA))
    const puts = [put('a'), put('b')]
    await clock.advanceAsync(500)
    expect(await Promise.all(puts)).toMatchObject([throttled, throttled])
  })
})
