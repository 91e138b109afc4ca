import { decodeAggregate } from '@shardwise/aggregation'
import { type Codec, type DataKeys, encrypted, text } from '@shardwise/core/codec'
import { describe, expect, test } from 'vitest'
import { Producer } from './producer.js'
import { ProducerClosedError, RecordRejectedError } from './producer-error.js'
import { bench } from './testing/producer-bench.js'

/** Each key is given when the test says so. */
class SlowKeys implements DataKeys {
  readonly asked: { give: () => void; refuse: (error: Error) => void }[] = []

  generate(): ReturnType<DataKeys['generate']> {
    return new Promise((resolve, reject) => {
      this.asked.push({ give: () => resolve({ key: new Uint8Array(32).fill(7), wrapped: new Uint8Array([1]) }), refuse: reject })
    })
  }

  async decrypt(): Promise<Uint8Array> {
    return new Uint8Array(32).fill(7)
  }
}

function setUp(options: { readonly maxKeyRecords?: number } = {}) {
  const { clock, kinesis } = bench()
  const keys = new SlowKeys()
  const codec = encrypted(text(), { keys, clock, ...options })
  const producer = new Producer({ stream: 'flights', kinesis, clock, codec, ordering: 'perShard', lingerMs: 10 })
  /** What lies in the stream, in its order, decrypted. */
  const written = async (): Promise<string[]> => {
    const values: string[] = []
    const members = kinesis.requests.flatMap(({ Records }) =>
      Records.flatMap(({ Data, PartitionKey }) => [...(decodeAggregate(Data) ?? [{ data: Data, partitionKey: PartitionKey }])]),
    )
    for (const { data, partitionKey } of members) {
      const context = { stream: 'flights', partitionKey, headers: undefined }
      values.push((await codec.prepareDecode(data, context))(data, context))
    }
    return values
  }
  return { clock, keys, codec, producer, written }
}

const record = (data: string) => ({ partitionKey: 'a', data })

describe('while the codec waits for its key', () => {
  test('puts stand in line and keep their order, those that come when it is there too; flush waits for them', async () => {
    const { clock, keys, codec, producer, written } = setUp()
    // Its reaction to the key comes before the turns of those that wait: it must not overtake them.
    const late = codec.readyToEncode()!.then(() => producer.put(record('4')))
    const puts = ['1', '2', '3'].map((data) => producer.put(record(data)))
    let flushed = false
    const flush = producer.flush().then(() => {
      flushed = true
    })
    await clock.advanceAsync(1000)
    expect([flushed, producer.stats().accepted, keys.asked.length]).toEqual([false, 0, 1])
    keys.asked[0]!.give()
    await clock.advanceAsync(1000)
    await Promise.all([...puts, late, flush])
    expect(await written()).toEqual(['1', '2', '3', '4'])
    await producer.close()
  })

  test('all ways in keep their order when a key serves few records', async () => {
    const { clock, keys, producer, written } = setUp({ maxKeyRecords: 2 })
    const values = Array.from({ length: 9 }, (_, i) => String(i))
    const puts = values.map((data) => producer.put(record(data)))
    for (let i = 0; i < 20; i++) {
      for (const { give } of keys.asked.splice(0)) give()
      await clock.advanceAsync(100)
    }
    await Promise.all(puts)
    expect(await written()).toEqual(values)
    await producer.close()
  })

  test('offer takes nothing and ready tells; putAll, writable and nodeWritable wait', async () => {
    const { clock, keys, producer, written } = setUp()
    expect(producer.offer(record('offered'))).toBe(false)
    const offering = (async () => {
      while (!producer.offer(record('offered'))) await producer.ready()
    })()
    const all: string[] = []
    const reading = (async () => {
      for await (const { status } of producer.putAll(['a', 'b'].map(record))) all.push(status)
    })()
    const writer = producer.writable().getWriter()
    const writing = writer.write(record('written')).then(() => writer.close())
    const node = producer.nodeWritable()
    node.end(record('node'))
    await clock.advanceAsync(1000)
    expect([all, producer.stats().accepted]).toEqual([[], 0])
    keys.asked[0]!.give()
    await clock.advanceAsync(1000)
    await Promise.all([offering, reading, writing])
    expect([all, node.writableFinished]).toEqual([['fulfilled', 'fulfilled'], true])
    expect((await written()).sort()).toEqual(['a', 'b', 'node', 'offered', 'written'])
    await producer.close()
  })

  test('close waits for what was put before it, and takes nothing put after it', async () => {
    const { clock, keys, producer, written } = setUp()
    const put = producer.put(record('1'))
    let closed = false
    const closing = producer.close().then(() => {
      closed = true
    })
    await expect(producer.put(record('2'))).rejects.toBeInstanceOf(ProducerClosedError)
    expect(() => producer.offer(record('2'))).toThrow(ProducerClosedError)
    await clock.advanceAsync(1000)
    expect(closed).toBe(false)
    keys.asked[0]!.give()
    await clock.advanceAsync(1000)
    await Promise.all([put, closing])
    expect(await written()).toEqual(['1'])
  })

  test('a key that cannot be had refuses the records, and the next ones a second later get theirs', async () => {
    const { clock, keys, producer, written } = setUp()
    const refused = [producer.put(record('1')), producer.start(), producer.putAll([record('2')]).next()]
    const writer = producer.writable().getWriter()
    const outcomes = Promise.allSettled([...refused, producer.ready(), writer.write(record('3'))])
    await clock.advanceAsync(0)
    keys.asked[0]!.refuse(new Error('AccessDenied'))
    await clock.advanceAsync(0)
    const [put, start, all, ready, write] = await outcomes
    for (const outcome of [put, start, ready, write]) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { name: 'RecordRejectedError', field: 'data' } })
    }
    expect(all).toMatchObject({ value: { value: { status: 'rejected', reason: expect.any(RecordRejectedError) } } })
    expect((put as PromiseRejectedResult).reason.message).toBe(
      'The record was not accepted: `data` was refused by the codec, which is not ready: no data key can be had: AccessDenied',
    )
    expect(keys.asked).toHaveLength(1)
    await clock.advanceAsync(1000)
    const again = producer.put(record('4'))
    await clock.advanceAsync(0)
    keys.asked[1]!.give()
    await clock.advanceAsync(1000)
    await again
    expect(await written()).toEqual(['4'])
    await writer.closed.catch(() => {})
    await producer.close()
  })

  test('a stream that its signal ends meanwhile puts nothing any more', async () => {
    const { clock, keys, producer, written } = setUp()
    const quit = new AbortController()
    const writer = producer.writable({ signal: quit.signal }).getWriter()
    const writing = writer.write(record('1')).catch((error: unknown) => error)
    await clock.advanceAsync(0)
    quit.abort(new Error('enough'))
    keys.asked[0]!.give()
    await clock.advanceAsync(1000)
    expect(await writing).toMatchObject({ message: 'enough' })
    await writer.closed.catch(() => {})
    expect(await written()).toEqual([])
    await producer.close()
  })
})

test('a codec that fetches nothing costs no turn: what is put is accepted at once', () => {
  const { clock, kinesis } = bench()
  const codec: Codec<string> = { ...text() }
  const producer = new Producer({ stream: 'flights', kinesis, clock, codec })
  void producer.put(record('1'))
  expect(producer.stats().accepted).toBe(1)
  return Promise.all([producer.close(), clock.advanceAsync(1000)])
})
