import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { InvalidOptionError } from '@shardwise/core/options'
import { describe, expect, test } from 'vitest'
import type { Producer } from './producer.js'
import { DeliveryFailedError, ProducerClosedError, RecordRejectedError } from './producer-error.js'
import { bench, startedBench } from './testing/producer-bench.js'
import { roomMadeByListener } from './testing/room-by-listener.js'
import type { PutInput } from './user-record.js'
import type { WaitOptions } from './wait.js'

function recordOf(id: string): PutInput {
  return { partitionKey: id, data: Buffer.from(id) }
}

/** What both streams promise, in one shape. `ended` tells how the stream ended. */
interface Written {
  write(record: PutInput): Promise<void>
  close(): Promise<void>
  abort(reason: Error): Promise<void>
  readonly ended: Promise<unknown>
}

function web(producer: Producer, options?: WaitOptions): Written {
  const writer = producer.writable(options).getWriter()
  writer.ready.catch(() => {})
  return {
    write: (record) => writer.write(record),
    close: () => writer.close(),
    abort: (reason) => writer.abort(reason),
    ended: writer.closed.then(
      () => 'finished',
      (error: unknown) => error,
    ),
  }
}

function node(producer: Producer, options?: WaitOptions): Written {
  const stream = producer.nodeWritable(options)
  const settled = (act: (done: (error?: Error | null) => void) => void): Promise<void> =>
    new Promise((resolve, reject) => act((error) => (error ? reject(error) : resolve())))
  let outcome: unknown
  stream.once('error', (error) => {
    outcome = error
  })
  stream.once('finish', () => {
    outcome = 'finished'
  })
  return {
    write: (record) => settled((done) => stream.write(record, done)),
    close: () => settled((done) => stream.end(done)),
    abort: (reason) => settled((done) => stream.destroy(reason).once('close', done)),
    ended: new Promise((resolve) => stream.once('close', () => resolve(outcome))),
  }
}

/** Watches a promise without waiting for it. */
function watch(promise: Promise<unknown>): { state: unknown } {
  const seen: { state: unknown } = { state: 'pending' }
  promise.then(
    () => {
      seen.state = 'resolved'
    },
    (error: unknown) => {
      seen.state = error
    },
  )
  return seen
}

describe.each([
  ['writable', web],
  ['nodeWritable', node],
])('%s', (_, open) => {
  test('a write ends when the buffer has the record, close when all has settled', async () => {
    const { clock, kinesis, producer } = bench({ lingerMs: 60_000, recordTtlMs: 100_000 })
    const stream = open(producer)
    const writes = ['a', 'b'].map((id) => watch(stream.write(recordOf(id))))
    await clock.advanceAsync(15)
    expect(writes.map(({ state }) => state)).toEqual(['resolved', 'resolved'])
    const close = watch(stream.close())
    await clock.advanceAsync(9)
    expect(close.state).toBe('pending')
    await clock.advanceAsync(10)
    expect([close.state, await stream.ended]).toEqual(['resolved', 'finished'])
    expect(kinesis.readable().map(({ id }) => id)).toEqual(['a', 'b'])
    expect(await producer.putAll([]).next()).toMatchObject({ done: true })
  })

  test('close of an untouched stream', async () => {
    const { clock, producer, kinesis } = bench()
    const stream = open(producer)
    const close = watch(stream.close())
    await clock.advanceAsync(0)
    expect([close.state, await stream.ended, kinesis.describeCalls]).toEqual(['resolved', 'finished', 0])
  })

  test('a write waits while the buffer is full', async () => {
    const { clock, kinesis, producer } = bench({ maxBufferedRecords: 2 })
    const stream = open(producer)
    const writes = ['a', 'b', 'c', 'd'].map((id) => watch(stream.write(recordOf(id))))
    await clock.advanceAsync(10)
    expect(writes.map(({ state }) => state)).toEqual(['resolved', 'resolved', 'pending', 'pending'])
    expect(producer.stats()).toMatchObject({ bufferedRecords: 2, waitingForRoom: 1 })
    await clock.advanceAsync(200)
    expect(writes.map(({ state }) => state)).toEqual(Array(4).fill('resolved'))
    const close = stream.close()
    await clock.advanceAsync(200)
    await close
    expect(kinesis.readable()).toHaveLength(4)
  })

  test.each<[string, number, 'writing' | 'waiting' | 'closing']>([
    ['while it is written to', 10, 'writing'],
    ['while a write waits for room', 2, 'waiting'],
    ['while it closes', 10, 'closing'],
  ])('an undelivered record ends it with the error %s', async (_, maxBufferedRecords, when) => {
    const { clock, kinesis, producer } = bench({ maxBufferedRecords, aggregation: 'off' })
    kinesis.putFaults.push({ kind: 'reject', name: 'KMSDisabledException' })
    const stream = open(producer)
    const writes = ['a', 'b'].map((id) => watch(stream.write(recordOf(id))))
    if (when === 'waiting') writes.push(watch(stream.write(recordOf('c'))))
    const close = when === 'closing' ? watch(stream.close()) : undefined
    await clock.advanceAsync(1000)
    expect(await stream.ended).toBeInstanceOf(DeliveryFailedError)
    expect(await stream.ended).toMatchObject({ partitionKey: 'a' })
    expect(writes.slice(0, 2).map(({ state }) => state)).toEqual(['resolved', 'resolved'])
    if (when === 'waiting') expect(writes[2]!.state).toBeInstanceOf(DeliveryFailedError)
    if (close !== undefined) expect(close.state).toBeInstanceOf(DeliveryFailedError)
    expect(watch(stream.write(recordOf('d'))).state).toBe('pending')
    await expect(stream.write(recordOf('d'))).rejects.toThrow()
    expect(producer.stats().accepted).toBe(when === 'waiting' ? 3 : 2)
  })

  test('close ends with the first failure, when the other records have settled, too', async () => {
    const { clock, kinesis, producer } = await startedBench({ lingerMs: 0 })
    kinesis.putFaults.push({ kind: 'reject', name: 'KMSDisabledException' }, undefined)
    const stream = open(producer)
    void stream.write(recordOf('a'))
    await clock.advanceAsync(3)
    void stream.write(recordOf('b'))
    const close = watch(stream.close())
    await clock.advanceAsync(8)
    expect([producer.stats().failed, producer.stats().delivered, close.state]).toEqual([1, 0, 'pending'])
    await clock.advanceAsync(5)
    expect([producer.stats().delivered, close.state, await stream.ended]).toEqual([
      1,
      expect.any(DeliveryFailedError),
      close.state,
    ])
  })

  test('a write ends when a listener makes the room that it was about to wait for', async () => {
    const { clock, producer, made } = roomMadeByListener()
    producer.offer(recordOf('a'))
    const write = watch(open(producer).write(recordOf('b')))
    await clock.advanceAsync(5000)
    expect([made(), write.state]).toEqual([true, 'resolved'])
  })

  test('a signal that a listener aborts in the middle of a write ends it and the write at once', async () => {
    const { clock, producer, kinesis } = bench({ maxBufferedRecords: 1 })
    const controller = new AbortController()
    const enough = new Error('enough')
    producer.events.on('backpressure-on', () => controller.abort(enough))
    producer.offer(recordOf('a'))
    const stream = open(producer, { signal: controller.signal })
    const [write, ended] = [watch(stream.write(recordOf('b'))), watch(stream.ended)]
    await clock.advanceAsync(0)
    expect([write.state, ended.state]).toEqual([enough, 'resolved'])
    expect(await stream.ended).toBe(enough)
    // It stands in line, and so is delivered.
    await clock.advanceAsync(1000)
    expect(kinesis.readable().map(({ id }) => id)).toEqual(['a', 'b'])
  })

  test('a refused record ends it', async () => {
    const { producer } = bench()
    const stream = open(producer)
    await expect(stream.write(recordOf(''))).rejects.toThrow(RecordRejectedError)
    expect(await stream.ended).toBeInstanceOf(RecordRejectedError)
  })

  test('a closed producer ends it, after what was written before', async () => {
    const { clock, producer, kinesis } = bench()
    const stream = open(producer)
    await stream.write(recordOf('a'))
    const closed = producer.close()
    await expect(stream.write(recordOf('b'))).rejects.toThrow(ProducerClosedError)
    await clock.advanceAsync(500)
    await closed
    expect(await stream.ended).toBeInstanceOf(ProducerClosedError)
    expect(kinesis.readable().map(({ id }) => id)).toEqual(['a'])
  })

  test.each<[string, 'signal' | 'abort', 'open' | 'waiting' | 'closing']>([
    ['the signal, between writes', 'signal', 'open'],
    ['the signal, while a write waits for room', 'signal', 'waiting'],
    ['the signal, while it closes', 'signal', 'closing'],
    ['abort, between writes', 'abort', 'open'],
    ['abort, while a write waits for room', 'abort', 'waiting'],
  ])('takes no more after %s, and delivers what it took', async (_, by, when) => {
    const { clock, kinesis, producer } = bench({ maxBufferedRecords: when === 'waiting' ? 1 : 10 })
    const [controller, reason] = [new AbortController(), new Error('enough')]
    const stream = open(producer, { signal: controller.signal })
    void stream.write(recordOf('a'))
    const waiting = when === 'waiting' ? watch(stream.write(recordOf('b'))) : undefined
    const closing = when === 'closing' ? watch(stream.close()) : undefined
    await clock.advanceAsync(10)
    if (by === 'signal') controller.abort(reason)
    else watch(stream.abort(reason))
    await clock.advanceAsync(0)
    expect(await stream.ended).toBe(reason)
    if (waiting !== undefined) expect(waiting.state).toBeInstanceOf(Error)
    if (closing !== undefined) expect(closing.state).toBe(reason)
    await expect(stream.write(recordOf('c'))).rejects.toThrow()
    expect(kinesis.readable()).toEqual([])
    await clock.advanceAsync(1000)
    expect(kinesis.readable().map(({ id }) => id)).toEqual(when === 'waiting' ? ['a', 'b'] : ['a'])
  })

  test('a signal that has aborted already', async () => {
    const { producer } = bench()
    const reason = new Error('enough')
    expect(await open(producer, { signal: AbortSignal.abort(reason) }).ended).toBe(reason)
    expect(() => open(producer, { signal: {} as AbortSignal })).toThrow(InvalidOptionError)
  })
})

describe('backpressure', () => {
  test('of the writer: not ready while the buffer is full', async () => {
    const { clock, producer } = bench({ maxBufferedRecords: 2 })
    const writer = producer.writable().getWriter()
    const readiness: unknown[] = []
    for (const id of ['a', 'b', 'c']) {
      await writer.ready
      void writer.write(recordOf(id))
      await clock.advanceAsync(0)
      readiness.push(watch(writer.ready))
    }
    await clock.advanceAsync(10)
    expect(readiness).toEqual([{ state: 'resolved' }, { state: 'resolved' }, { state: 'pending' }])
    expect(writer.desiredSize).toBe(0)
    await clock.advanceAsync(200)
    expect([readiness[2], writer.desiredSize]).toEqual([{ state: 'resolved' }, 1])
  })

  test('of the Node stream: write returns false and drain comes', async () => {
    const { clock, producer } = await startedBench({ maxBufferedRecords: 5 })
    const stream = producer.nodeWritable()
    let taken = 1
    while (stream.write(recordOf(`${taken}`))) taken++
    expect(taken).toBe(5 + 16)
    let drained = false
    stream.once('drain', () => {
      drained = true
    })
    await clock.advanceAsync(5)
    expect([drained, producer.stats().bufferedRecords]).toEqual([false, 5])
    await clock.advanceAsync(2000)
    expect(drained).toBe(true)
  })

  test.each([
    ['pipeTo', (source: Readable, producer: Producer) => Readable.toWeb(source).pipeTo(producer.writable())],
    ['pipeline', (source: Readable, producer: Producer) => pipeline(source, producer.nodeWritable())],
  ])('%s reads its source no faster than records go, in order', async (_, carry) => {
    const { clock, kinesis, producer } = bench({ maxBufferedRecords: 8, ordering: 'perShard' })
    const ids = Array.from({ length: 200 }, (_, i) => `${i}`)
    let read = 0
    function* source(): Generator<PutInput> {
      for (const id of ids) {
        read++
        yield recordOf(id)
      }
    }
    const carried = watch(carry(Readable.from(source()), producer))
    let delivered = 0
    for (let i = 0; i < 2000 && carried.state === 'pending'; i++) {
      await clock.advanceAsync(10)
      delivered = producer.stats().delivered
      // The queues of both streams on the way hold 16 records each.
      expect(read - delivered).toBeLessThanOrEqual(8 + 1 + 16 + 16 + 1)
    }
    expect([carried.state, delivered]).toEqual(['resolved', 200])
    expect(kinesis.readable().map(({ id }) => id)).toEqual(ids)
  })
})
