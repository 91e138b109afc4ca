import { AsyncResource } from 'node:async_hooks'
import { describe, expect, test } from 'vitest'
import { bench, startedBench } from './testing/producer-bench.js'
import { named } from './testing/simulated-kinesis.js'
import type { UndeliveredRecord } from './undelivered.js'

const REFUSED = { kind: 'reject', name: 'KMSDisabledException' } as const
const MINUTE = 60_000

/** A hook that keeps what it is given and returns when the test opens it. */
class Hook {
  readonly calls: (readonly UndeliveredRecord[])[] = []
  #open: (() => void)[] = []

  readonly take = (records: readonly UndeliveredRecord[]): Promise<void> => {
    this.calls.push(records)
    return new Promise((resolve) => this.#open.push(resolve))
  }

  /** Lets the first call that is open return. */
  open(): void {
    this.#open.shift()!()
  }

  get keys(): string[][] {
    return this.calls.map((records) => records.map(({ partitionKey }) => partitionKey))
  }
}

describe('onUndelivered', () => {
  test('has the record with all that it carried before its put rejects', async () => {
    const hook = new Hook()
    const { clock, kinesis, producer } = await startedBench({ onUndelivered: hook.take })
    kinesis.putFaults.push(REFUSED)
    const input = { partitionKey: 'ORD', explicitHashKey: '5', data: Buffer.from('late'), headers: { source: 'atc' } }
    let told: Error | undefined
    producer.put(input).catch((error: Error) => {
      told = error
    })
    await clock.advanceAsync(1000)
    const [record] = hook.calls[0]!
    expect(record).toMatchObject({ stream: 'flights', partitionKey: 'ORD', explicitHashKey: '5', data: input.data })
    expect([{ ...record!.headers }, record!.input === input, record!.error.name]).toEqual([
      { source: 'atc' },
      true,
      'DeliveryFailedError',
    ])
    expect([told, producer.stats().bufferedRecords, producer.stats().failed]).toEqual([undefined, 1, 0])
    hook.open()
    await clock.advanceAsync(0)
    expect([told, producer.stats().bufferedRecords, producer.stats().failed]).toEqual([record!.error, 0, 1])
  })

  test('one call at a time, and what fails meanwhile is in the next', async () => {
    const hook = new Hook()
    const { clock, kinesis, producer, put } = await startedBench({ onUndelivered: hook.take, aggregation: 'off', lingerMs: 0 })
    kinesis.putFaults.push(REFUSED, REFUSED, REFUSED)
    for (const key of ['a', 'b', 'c']) {
      void put(key)
      await clock.advanceAsync(100)
    }
    expect(hook.keys).toEqual([['a']])
    hook.open()
    await clock.advanceAsync(0)
    expect([hook.keys, producer.stats().failed]).toEqual([[['a'], ['b', 'c']], 1])
    hook.open()
    await clock.advanceAsync(0)
    expect([hook.calls.length, producer.stats().failed, producer.stats().bufferedRecords]).toEqual([2, 3, 0])
  })

  test('what fails at once is one call', async () => {
    const hook = new Hook()
    const { clock, kinesis, put } = await startedBench({ onUndelivered: hook.take })
    kinesis.putFaults.push(REFUSED)
    for (const key of ['a', 'b', 'c']) void put(key)
    await clock.advanceAsync(1000)
    expect(hook.keys).toEqual([['a', 'b', 'c']])
    hook.open()
  })

  test('is not asked about records that are refused when they are put', async () => {
    const hook = new Hook()
    const { producer } = bench({ onUndelivered: hook.take })
    await expect(producer.put({ partitionKey: '', data: Buffer.from('x') })).rejects.toThrow('partitionKey')
    expect(hook.calls).toEqual([])
  })

  test.each<['flush' | 'close']>([['flush'], ['close']])('%s waits for it', async (method) => {
    const hook = new Hook()
    const { clock, kinesis, producer, put } = await startedBench({ onUndelivered: hook.take })
    kinesis.putFaults.push(REFUSED)
    void put('a')
    let over = false
    const waiting = producer[method]().then(() => {
      over = true
    })
    await clock.advanceAsync(60 * MINUTE)
    expect([hook.keys, over]).toEqual([[['a']], false])
    hook.open()
    await waiting
  })

  test('its records keep their room: who puts waits for it', async () => {
    const hook = new Hook()
    const { clock, kinesis, producer, put } = await startedBench({ onUndelivered: hook.take, maxBufferedRecords: 1 })
    kinesis.putFaults.push(REFUSED)
    void put('a')
    const next = put('b')
    await clock.advanceAsync(60 * MINUTE)
    expect([producer.offer({ partitionKey: 'c', data: Buffer.from('c') }), producer.stats().waitingForRoom]).toEqual([false, 1])
    hook.open()
    await clock.advanceAsync(1000)
    expect(await next).toMatchObject({ attempts: 1 })
  })

  test.each<[string, () => void | Promise<void>]>([
    [
      'throws',
      () => {
        throw new Error('disk full')
      },
    ],
    ['rejects', () => Promise.reject(new Error('disk full'))],
    ['throws what is no error', () => Promise.reject('disk full')],
  ])('one that %s is announced, and the records fail all the same', async (_, onUndelivered) => {
    const { clock, kinesis, put, events } = await startedBench({ onUndelivered })
    kinesis.putFaults.push(REFUSED)
    const puts = [put('a'), put('b')]
    await clock.advanceAsync(1000)
    expect(await Promise.all(puts)).toMatchObject([{ reason: 'refused' }, { reason: 'refused' }])
    const told = events.filter(({ type }) => type === 'undelivered-hook-failed')
    expect(told).toMatchObject([{ userRecords: 2 }])
    expect(JSON.stringify(told, (_, value) => (value instanceof Error ? value.message : value))).toContain('disk full')
    const next = put('c')
    await clock.advanceAsync(1000)
    expect(await next).toMatchObject({ attempts: 1 })
  })

  test('with order kept, the halt is told when all that fell with it have failed, and they come in their order', async () => {
    const hook = new Hook()
    const options = { onUndelivered: hook.take, ordering: 'perShard', lingerMs: 0, aggregation: 'off' } as const
    const { clock, kinesis, put, types } = await startedBench(options)
    kinesis.putFaults.push(REFUSED)
    const puts = ['a', 'b', 'c'].map((key) => put(key))
    await clock.advanceAsync(1000)
    expect([hook.keys, types().includes('lane-halted')]).toEqual([[['a', 'b', 'c']], false])
    expect(await put('refused at once')).toMatchObject({ name: 'LaneHaltedError' })
    hook.open()
    await clock.advanceAsync(0)
    expect(types().slice(-4)).toEqual(['record-failed', 'record-failed', 'record-failed', 'lane-halted'])
    await Promise.all(puts)
  })
})

describe('a hook that puts to its own producer', () => {
  interface Wish {
    readonly awaits?: boolean
    readonly again?: boolean
  }

  /** Puts what it is given once more, with another key, and perhaps waits for it. */
  async function refilling({ awaits = true }: Wish, options: Parameters<typeof startedBench>[0] = {}) {
    const made = await startedBench({
      onUndelivered: async (records) => {
        const puts = records.map(({ partitionKey, data }) => made.producer.put({ partitionKey: `dead ${partitionKey}`, data }))
        const all = Promise.allSettled(puts)
        if (awaits) await all
      },
      ...options,
    })
    return made
  }

  test.each<[string, Wish]>([
    ['and awaits it', { awaits: true }],
    ['and does not', { awaits: false }],
  ])('does not wait for the room that it holds (%s)', async (_, wish) => {
    const { clock, kinesis, producer, put } = await refilling(wish, { maxBufferedRecords: 2 })
    kinesis.putFaults.push(REFUSED)
    const puts = [put('a'), put('b'), put('waits for room')]
    await clock.advanceAsync(2000)
    expect(await Promise.all(puts)).toMatchObject([{ reason: 'refused' }, { reason: 'refused' }, { attempts: 1 }])
    expect(
      kinesis
        .readable()
        .map(({ partitionKey }) => partitionKey)
        .sort(),
    ).toEqual(['dead a', 'dead b', 'waits for room'])
    expect(producer.stats()).toMatchObject({ bufferedRecords: 0, bufferedBytes: 0, waitingForRoom: 0 })
  })

  test.each<[string, Wish]>([
    ['and awaits it', { awaits: true }],
    ['and does not', { awaits: false }],
  ])('may do so while the producer closes (%s)', async (_, wish) => {
    const { clock, kinesis, producer, put } = await refilling(wish)
    kinesis.putFaults.push(REFUSED)
    const lost = put('a')
    const closing = producer.close()
    await clock.advanceAsync(2000)
    await closing
    expect(await lost).toMatchObject({ reason: 'refused' })
    expect(kinesis.readable().map(({ partitionKey }) => partitionKey)).toEqual(['dead a'])
    await expect(producer.put({ partitionKey: 'x', data: Buffer.from('x') })).rejects.toThrow('closed')
  })

  test('is not called for what it put itself: that rejects', async () => {
    const { clock, kinesis, producer, put } = await refilling({})
    kinesis.controlFault = () => undefined
    kinesis.putFaults.push(REFUSED, REFUSED)
    const lost = put('a')
    await clock.advanceAsync(5000)
    expect(await lost).toMatchObject({ reason: 'refused' })
    expect(producer.stats()).toMatchObject({ failed: 2, bufferedRecords: 0 })
  })

  test('writes to another stream of the producer', async () => {
    const { clock, kinesis, producer, put } = await startedBench({
      onUndelivered: async (records) => {
        for (const { partitionKey, data } of records) await producer.put({ stream: 'dead-letters', partitionKey, data })
      },
    })
    kinesis.model.call('CreateStream', { StreamName: 'dead-letters', ShardCount: 1 })
    kinesis.putFaults.push(REFUSED)
    const lost = put('a')
    await clock.advanceAsync(2000)
    expect(await lost).toMatchObject({ reason: 'refused' })
    expect(kinesis.requests.map((request) => request.StreamName)).toEqual(['flights', 'dead-letters'])
  })

  test('what the hook of another producer puts back, for what this hook put there and awaits, does not wait for its room either', async () => {
    const data = Buffer.from('x')
    const second = await startedBench({
      onUndelivered: async () => {
        await first.producer.put({ partitionKey: 'back', data }).catch(() => {})
      },
    })
    // As timers of Node do.
    const schedule = second.clock.schedule.bind(second.clock)
    second.clock.schedule = (delayMs, run) => schedule(delayMs, AsyncResource.bind(run))
    const first = await startedBench({
      maxBufferedRecords: 1,
      onUndelivered: async () => {
        await second.producer.put({ partitionKey: 'on', data }).catch(() => {})
      },
    })
    first.kinesis.putFaults.push(REFUSED)
    second.kinesis.putFaults.push(REFUSED)
    const lost = first.put('a')
    await first.clock.advanceAsync(1000)
    await second.clock.advanceAsync(1000)
    await first.clock.advanceAsync(2000)
    expect(first.producer.stats().waitingForRoom).toBe(0)
    expect(await lost).toMatchObject({ reason: 'refused' })
    expect(first.kinesis.readable().map(({ partitionKey }) => partitionKey)).toEqual(['back'])
  })

  test.each<['flush' | 'close']>([['flush'], ['close']])('is refused %s, which would wait for itself', async (method) => {
    const { clock, kinesis, producer, put, events } = await startedBench({ onUndelivered: () => producer[method]() })
    kinesis.putFaults.push(REFUSED)
    const lost = put('a')
    await clock.advanceAsync(1000)
    expect(await lost).toMatchObject({ reason: 'refused' })
    expect(events.find(({ type }) => type === 'undelivered-hook-failed')).toMatchObject({
      error: { message: `${method}() within onUndelivered would wait for onUndelivered itself` },
    })
  })

  test('what it began and left running is a caller like any other', async () => {
    let later = (): void => {}
    const { clock, kinesis, producer, put } = await startedBench({
      maxBufferedRecords: 1,
      onUndelivered: async () => {
        const called = new Promise<void>((resolve) => {
          later = resolve
        })
        void called.then(() => producer.put({ partitionKey: 'late', data: Buffer.from('late') }).catch(() => {}))
      },
    })
    kinesis.putFaults.push(REFUSED)
    const lost = put('a')
    await clock.advanceAsync(1000)
    await lost
    void put('fills the buffer')
    later()
    await clock.advanceAsync(0)
    expect(producer.stats()).toMatchObject({ bufferedRecords: 1, waitingForRoom: 1 })
    await clock.advanceAsync(1000)
  })
})

test('while Kinesis is down a slow hook bounds what is buffered, and every record is handed over once', async () => {
  const seen: string[] = []
  const { clock, kinesis, producer, put } = await startedBench({
    recordTtlMs: 1000,
    maxBufferedRecords: 20,
    onUndelivered: async (records) => {
      await new Promise<void>((resolve) => clock.schedule(700, resolve))
      seen.push(...records.map(({ partitionKey }) => partitionKey))
    },
  })
  const putRecords = kinesis.putRecords.bind(kinesis)
  kinesis.putRecords = (input, options) => {
    kinesis.putFaults.unshift({ kind: 'reject', name: 'ECONNREFUSED' })
    return putRecords(input, options)
  }
  kinesis.controlFault = () => named('ECONNREFUSED')
  const puts: Promise<unknown>[] = []
  for (let i = 0; i < 100; i++) {
    puts.push(put(`${i}`))
    await clock.advanceAsync(50)
    expect(producer.stats().bufferedRecords).toBeLessThanOrEqual(20)
  }
  await clock.advanceAsync(60_000)
  expect(await Promise.all(puts)).toHaveLength(100)
  expect(seen).toEqual(Array.from({ length: 100 }, (_, i) => `${i}`))
})
