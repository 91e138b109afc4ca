import { getEventListeners } from 'node:events'
import { ManualClock } from '@shardwise/core/clock'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { PendingCheckpoint } from '../checkpoints/pending-checkpoint.js'
import { type Position, sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import { ShardCheckpoints } from '../checkpoints/shard-checkpoints.js'
import type { ConsumedRecord } from './consumed-record.js'
import type { DeliveryEvent } from './delivery-event.js'
import type { HandlerContext, Handlers } from './handler.js'
import type { HandlerCallsOptions } from './handler-call.js'
import { InOrderDelivery } from './in-order-delivery.js'
import { RecordIdWindow } from './record-id-window.js'
import { completions } from './testing/completions.js'
import { recordOf } from './testing/record-of.js'

const name = ({ sequenceNumber, subSequenceNumber }: ConsumedRecord): string => `${sequenceNumber}/${subSequenceNumber}`

let clock: ManualClock
let halt: AbortController
let lost: AbortController
/** What happens, in order. */
let log: string[]
let events: DeliveryEvent[]
let ours: boolean
let revalidate: () => Promise<boolean>
let stopping: boolean

beforeEach(() => {
  clock = new ManualClock()
  halt = new AbortController()
  lost = new AbortController()
  log = []
  events = []
  ours = true
  stopping = false
  revalidate = async () => {
    throw new Error('not expected')
  }
})

afterEach(() => {
  expect(clock.pendingTimers).toBe(0)
})

function delivery(handlers: Handlers): InOrderDelivery {
  return new InOrderDelivery(options(handlers))
}

function options(handlers: Handlers): HandlerCallsOptions {
  return {
    lease: {
      shardId: 'shard',
      signal: lost.signal,
      isOurs: () => ours,
      revalidate: () => {
        log.push('doubt')
        return revalidate()
      },
    },
    handlers,
    onFailure: 'retry',
    backoff: { baseMs: 100, maxMs: 300 },
    clock,
    random: () => 0,
    isStopping: () => stopping,
    halt: halt.signal,
    checkpoints: completions(({ sequenceNumber, subSequenceNumber }) =>
      log.push(`completed ${sequenceNumber}/${subSequenceNumber}`),
    ),
    emit: (event) => events.push(event),
  }
}

/** Fails each record as often as `failures` says, and does what `at` says in the call of a record. */
function eachRecord(failures: Record<string, number> = {}, at: Record<string, () => void> = {}): Handlers {
  const left = { ...failures }
  return {
    eachRecord: async (record, { attempt }) => {
      log.push(`${name(record)} attempt ${attempt}`)
      at[name(record)]?.()
      if ((left[name(record)] ?? 0) === 0) return
      left[name(record)]!--
      throw new Error('not now')
    },
  }
}

test.each<{ what: string; handler: Handlers['eachRecord'] }>([
  { what: 'returns', handler: () => undefined },
  { what: 'returns what is no promise, false too', handler: () => false },
  { what: 'resolves', handler: () => Promise.resolve() },
])('a record is completed when the call $what', async ({ handler }) => {
  const inOrder = delivery({ eachRecord: handler! })
  expect(await inOrder.deliver([recordOf(1)], 0)).toBe(true)
  expect(log).toEqual(['completed 1/0'])
})

describe('a handler that returns no promise', () => {
  const returning = (value: unknown, at: Record<string, () => void> = {}): Handlers => ({
    eachRecord: (record) => {
      log.push(name(record))
      at[name(record)]?.()
      return value
    },
  })

  test.each<{ what: string; value: unknown; waits: boolean }>([
    { what: 'nothing', value: undefined, waits: false },
    { what: 'null', value: null, waits: false },
    { what: 'a text', value: 'done', waits: false },
    { what: 'an object whose `then` is no function', value: withThen({}, true), waits: false },
    { what: 'a function', value: () => {}, waits: false },
    { what: 'a promise', value: Promise.resolve(), waits: true },
    { what: 'what is like a promise', value: withThen({}, (resolve: () => void) => resolve()), waits: true },
    {
      what: 'a function that is like a promise',
      value: withThen(
        () => {},
        (resolve: () => void) => resolve(),
      ),
      waits: true,
    },
  ])('returns $what: the next call waits for it ($waits)', async ({ value, waits }) => {
    const delivered = delivery(returning(value)).deliver([recordOf(1), recordOf(2)], 0)
    const atOnce = ['1/0', '2/0', 'completed 2/0']
    expect(log).toEqual(waits ? ['1/0'] : atOnce)
    expect(await delivered).toBe(true)
    expect(log).toEqual(waits ? ['1/0', 'completed 1/0', '2/0', 'completed 2/0'] : atOnce)
  })

  test.each<{ what: string; act: () => void; expected: string[]; delivered: boolean }>([
    { what: 'halted in a call: no other begins', act: () => halt.abort(), expected: ['completed 2/0'], delivered: false },
    {
      what: 'lease lost in a call: it completes nothing',
      act: () => lost.abort(),
      expected: ['completed 1/0'],
      delivered: false,
    },
    {
      what: 'asked to stop: what is due by that comes before the next call',
      act: () => {
        stopping = true
        queueMicrotask(() => halt.abort())
      },
      expected: ['completed 2/0'],
      delivered: false,
    },
    {
      what: 'in doubt about the lease: the next call waits until it is known to be ours',
      act: () => {
        ours = false
        revalidate = async () => {
          ours = true
          return true
        }
      },
      expected: ['completed 2/0', 'doubt', '3/0', 'completed 3/0'],
      delivered: true,
    },
  ])('$what', async ({ act, expected, delivered }) => {
    const inOrder = delivery(returning(undefined, { '2/0': act }))
    expect(await inOrder.deliver([recordOf(1), recordOf(2), recordOf(3)], 0)).toBe(delivered)
    expect(log).toEqual(['1/0', '2/0', ...expected])
  })

  test('throws: the same record again after a pause, then the next', async () => {
    const throwing = returning(undefined, { '2/0': () => log.length === 2 && raise(new Error('not now')) })
    const delivered = delivery(throwing).deliver([recordOf(1), recordOf(2), recordOf(3)], 0)
    expect(log).toEqual(['1/0', '2/0', 'completed 1/0'])
    await clock.advanceAsync(50)
    expect(await delivered).toBe(true)
    expect(log.slice(3)).toEqual(['2/0', 'completed 2/0', '3/0', 'completed 3/0'])
  })

  test('returns a promise for some: what was handled before is completed before it is waited for', async () => {
    let go = (): void => {}
    const held = new Promise<void>((resolve) => (go = resolve))
    const inOrder = delivery({
      eachRecord: (record) => {
        log.push(name(record))
        return name(record) === '3/0' ? held : undefined
      },
    })
    const delivered = inOrder.deliver([recordOf(1), recordOf(2), recordOf(3), recordOf(4)], 0)
    expect(log).toEqual(['1/0', '2/0', '3/0', 'completed 2/0'])
    go()
    expect(await delivered).toBe(true)
    expect(log.slice(4)).toEqual(['completed 3/0', '4/0', 'completed 4/0'])
  })

  test('takes its time: the event loop turns after a spell, and the lease is asked about at the moment of each call', async () => {
    const asked: (number | undefined)[] = []
    const inOrder = new InOrderDelivery({
      ...options(returning(undefined, Object.fromEntries([1, 2, 3, 4].map((at) => [`${at}/0`, () => clock.advance(20)])))),
      lease: { shardId: 'shard', signal: lost.signal, isOurs: (at) => asked.push(at?.now) > 0, revalidate },
    })
    const delivered = inOrder.deliver(
      [1, 2, 3, 4].map((at) => recordOf(at)),
      0,
    )
    await new Promise(setImmediate)
    expect(log.at(-1)).toBe('completed 3/0')
    expect(asked).toEqual([0, 20, 40])
    await clock.advanceAsync(0)
    expect(await delivered).toBe(true)
  })

  test.each<{ what: string; first: () => void; expected: (number | undefined)[] }>([
    { what: 'a failure', first: () => raise(new Error('not now')), expected: [0, 0, undefined, 50] },
    { what: 'a doubt', first: () => (ours = false), expected: [0, 0, 0, 0, undefined, undefined, 50] },
  ])('after $what, which takes time, the lease is asked about at the moment of the next call', async ({ first, expected }) => {
    const asked: (number | undefined)[] = []
    revalidate = async () => {
      clock.advance(50)
      ours = true
      return true
    }
    let isFirst = true
    const inOrder = new InOrderDelivery({
      ...options(
        returning(undefined, {
          '2/0': () => {
            if (!isFirst) return
            isFirst = false
            first()
          },
        }),
      ),
      lease: { shardId: 'shard', signal: lost.signal, isOurs: (at) => asked.push(at?.now) > 0 && ours, revalidate },
    })
    const delivered = inOrder.deliver(
      [1, 2, 3, 4].map((at) => recordOf(at)),
      0,
    )
    await clock.advanceAsync(50)
    expect(await delivered).toBe(true)
    expect(asked.slice(0, expected.length)).toEqual(expected)
  })

  describe('and makes checkpoints', () => {
    const told = (position: Position): string =>
      position.kind === 'sequence' ? `${position.sequenceNumber}/${position.subSequenceNumber}` : position.kind
    const inOrder = (
      eachRecord: (record: ConsumedRecord, context: HandlerContext) => unknown,
      pendingCheckpoint?: PendingCheckpoint,
    ): InOrderDelivery =>
      new InOrderDelivery({
        ...options({
          eachRecord: (record, context) => {
            log.push(name(record))
            return eachRecord(record, context)
          },
        }),
        checkpoints: new ShardCheckpoints({
          stream: 'orders',
          lease: {
            shardId: 'shard',
            generation: 1,
            resumeFrom: TRIM_HORIZON,
            pendingCheckpoint,
            checkpointNow: async (position, pending) => {
              log.push(`write ${told(position)}${pending ? ` prepared ${told(pending.position)}` : ''}`)
            },
          },
          automatic: { completed: (position) => log.push(`completed ${told(position)}`) },
          sideBySide: false,
        }),
      })
    const records = [1, 2, 3].map((at) => recordOf(at))

    test('one that it prepares before it returns a promise stands: what was handled before is completed before', async () => {
      const prepares = async (context: HandlerContext): Promise<void> => {
        await context.prepareCheckpoint()
        log.push('prepared')
      }
      await inOrder((record, context) => (name(record) === '3/0' ? prepares(context) : undefined)).deliver(records, 0)
      expect(log).toEqual([...['1/0', '2/0', '3/0', 'completed 2/0', 'write 2/0 prepared 3/0'], ...['prepared', 'completed 3/0']])
    })

    test('of each record, without waiting for it: the next call comes all the same', async () => {
      const delivered = inOrder((_, context) => void context.checkpoint()).deliver(records, 0)
      expect(log).toEqual([
        ...['1/0', 'write 1/0', 'completed 1/0', '2/0', 'write 2/0', 'completed 2/0'],
        ...['3/0', 'write 3/0', 'completed 3/0'],
      ])
      await delivered
    })

    test('not before what was handled', async () => {
      let refused: Promise<unknown> | undefined
      await inOrder((record, context) => {
        if (name(record) === '3/0') refused = context.checkpoint(records[0]).catch(String)
      }).deliver(records, 0)
      expect(await refused).toMatch(/^RangeError/)
    })

    test('is shown one that an owner before has prepared until something is handled', async () => {
      const shown: boolean[] = []
      const pending = { position: sequencePosition('9'), state: undefined }
      await inOrder((_, { pendingCheckpoint }) => void shown.push(pendingCheckpoint !== undefined), pending).deliver(records, 0)
      expect(shown).toEqual([true, false, false])
    })
  })

  test('a copy of what was handled, which takes no call, makes no moment an older one', async () => {
    const asked: (number | undefined)[] = []
    const inOrder = new InOrderDelivery({
      ...options(returning(undefined, { '1/0': () => clock.advance(20) })),
      lease: { shardId: 'shard', signal: lost.signal, isOurs: (at) => asked.push(at?.now) > 0, revalidate },
      recordIds: new RecordIdWindow(10),
    })
    const copies = [1, 2, 3].map((at) => ({ ...recordOf(at), recordId: at < 3 ? 'one' : 'another' }))
    await inOrder.deliver([copies[0]!], 0)
    clock.advance(100)
    await inOrder.deliver(copies.slice(1), 0)
    expect(asked).toEqual([0, 120, 120])
    expect(log).toEqual(['1/0', 'completed 1/0', '3/0', 'completed 3/0'])
  })

  test.each([0.4, 1, 3])('takes %d ms: shards that have much to do share the time', async (ms) => {
    const calls: string[] = []
    const shards = ['a', 'b'].map((shard) =>
      delivery({
        eachRecord: () => {
          calls.push(shard)
          clock.advance(ms)
        },
      }),
    )
    const records = Array.from({ length: 400 }, (_, i) => recordOf(i + 1))
    const delivered = Promise.all(shards.map((shard) => shard.deliver(records, 0)))
    while (calls.length < 800) await clock.advanceAsync(0)
    await delivered
    for (const shard of ['a', 'b']) expect(calls.slice(0, 400).filter((called) => called === shard).length).toBeGreaterThan(100)
  })

  test('what it has begun goes on soon, and not when all that there is has been handled', async () => {
    const seen: number[] = []
    let calls = 0
    const inOrder = delivery({
      eachRecord: () => {
        calls++
        clock.advance(0.25)
        queueMicrotask(() => seen.push(calls))
      },
    })
    await inOrder.deliver(
      Array.from({ length: 50 }, (_, i) => recordOf(i + 1)),
      0,
    )
    expect(seen.slice(0, 8)).toEqual([4, 4, 4, 4, 8, 8, 8, 8])
  })
})

test('one call at a time: the next waits until this one is completed', async () => {
  const gates: (() => void)[] = []
  const inOrder = delivery({
    eachRecord: (record) => {
      log.push(name(record))
      return new Promise<void>((resolve) => gates.push(resolve))
    },
  })
  const delivered = inOrder.deliver([recordOf(1), recordOf(1, 1), recordOf(2)], 0)
  for (let i = 0; i < 3; i++) {
    expect([inOrder.outstanding, gates.length]).toEqual([3 - i, i + 1])
    gates[i]!()
    await clock.advanceAsync(0)
  }
  expect(await delivered).toBe(true)
  expect(log).toEqual(['1/0', 'completed 1/0', '1/1', 'completed 1/1', '2/0', 'completed 2/0'])
})

test('what the handler is told', async () => {
  const told: HandlerContext[] = []
  const inOrder = delivery({
    eachBatch: async (_records, context) => {
      told.push(context)
      if (told.length === 1) throw new Error('not now')
    },
  })
  const delivered = inOrder.deliver([recordOf(1)], 250)
  await clock.advanceAsync(50)
  expect(await delivered).toBe(true)
  await inOrder.deliver([recordOf(2)], undefined)
  const checkpointing = { generation: 1, pendingCheckpoint: undefined }
  const calls = { checkpoint: expect.any(Function), prepareCheckpoint: expect.any(Function) }
  const context = { shardId: 'shard', signal: lost.signal, millisBehindLatest: 250, ...checkpointing, ...calls }
  expect(told).toEqual([
    { ...context, attempt: 1 },
    { ...context, attempt: 2 },
    { ...context, millisBehindLatest: undefined, attempt: 1 },
  ])
})

test('no records are no call', async () => {
  expect(await delivery(eachRecord()).deliver([], 0)).toBe(true)
  expect(log).toEqual([])
})

describe('a call that fails', () => {
  test.each<{ what: string; fail: () => unknown; error: unknown }>([
    { what: 'throws', fail: () => raise(new Error('sync')), error: new Error('sync') },
    { what: 'rejects', fail: () => Promise.reject(new Error('async')), error: new Error('async') },
    { what: 'rejects with nothing', fail: () => Promise.reject(), error: undefined },
  ])('when it $what: the same records again after growing pauses, and each failure told', async ({ fail, error }) => {
    const batches: string[][] = []
    const inOrder = delivery({
      eachBatch: (records) => {
        log.push(`at ${clock.now()}`)
        batches.push(records.map(name))
        return batches.length < 5 ? fail() : undefined
      },
    })
    const delivered = inOrder.deliver([recordOf(7, 3), recordOf(8)], 0)
    await clock.advanceAsync(450)
    expect(await delivered).toBe(true)
    expect(batches).toEqual(Array.from({ length: 5 }, () => ['7/3', '8/0']))
    expect(log).toEqual(['at 0', 'at 50', 'at 150', 'at 300', 'at 450', 'completed 8/0'])
    const told = { type: 'handler-failed', shardId: 'shard', sequenceNumber: '7', subSequenceNumber: 3, records: 2, error }
    expect(events).toEqual([50, 100, 150, 150].map((retryInMs, i) => ({ ...told, attempt: i + 1, retryInMs })))
  })

  test('the pauses begin anew with the next record', async () => {
    const delivered = delivery(eachRecord({ '1/0': 3, '2/0': 1 })).deliver([recordOf(1), recordOf(2)], 0)
    await clock.advanceAsync(350)
    expect(await delivered).toBe(true)
    expect(events).toMatchObject([
      { sequenceNumber: '1', attempt: 1, retryInMs: 50 },
      { sequenceNumber: '1', attempt: 2, retryInMs: 100 },
      { sequenceNumber: '1', attempt: 3, retryInMs: 150 },
      { sequenceNumber: '2', attempt: 1, retryInMs: 50 },
    ])
  })
})

describe('halted', () => {
  test.each<{ what: string; halts: () => void; handlers: () => Handlers; expected: string[]; delivered?: boolean }>([
    { what: 'before', halts: () => halt.abort(), handlers: () => eachRecord(), expected: [] },
    {
      what: 'in a call: that one is completed, no other begins',
      halts: () => {},
      handlers: () => eachRecord({}, { '1/0': () => halt.abort() }),
      expected: ['1/0 attempt 1', 'completed 1/0'],
    },
    {
      what: 'in the last call: all are delivered',
      halts: () => {},
      handlers: () => eachRecord({}, { '2/0': () => halt.abort() }),
      expected: ['1/0 attempt 1', 'completed 1/0', '2/0 attempt 1', 'completed 2/0'],
      delivered: true,
    },
    {
      what: 'in a call that fails: no pause, no retry',
      halts: () => {},
      handlers: () => eachRecord({ '1/0': 1 }, { '1/0': () => halt.abort() }),
      expected: ['1/0 attempt 1'],
    },
    {
      what: 'in a pause: at once',
      halts: () => clock.schedule(20, () => halt.abort()),
      handlers: () => eachRecord({ '1/0': 1 }),
      expected: ['1/0 attempt 1'],
    },
  ])('$what', async ({ halts, handlers, expected, delivered = false }) => {
    const inOrder = delivery(handlers())
    halts()
    const delivering = inOrder.deliver([recordOf(1), recordOf(2)], 0)
    await clock.advanceAsync(20)
    expect(await delivering).toBe(delivered)
    expect(log).toEqual(expected)
    expect(inOrder.outstanding).toBe(2 - expected.filter((each) => each.startsWith('completed')).length)
  })
})

describe('in doubt whether the lease is ours', () => {
  const answers: ((ours: boolean) => void)[] = []
  beforeEach(() => {
    answers.length = 0
    revalidate = () => new Promise((resolve) => answers.push(resolve))
  })

  test('after a call: the next begins when it is known to be ours', async () => {
    const inOrder = delivery(eachRecord({}, { '1/0': () => (ours = false) }))
    const delivered = inOrder.deliver([recordOf(1), recordOf(2)], 0)
    await clock.advanceAsync(0)
    expect(log).toEqual(['1/0 attempt 1', 'completed 1/0', 'doubt'])
    ours = true
    answers[0]!(true)
    expect(await delivered).toBe(true)
    expect(log.slice(3)).toEqual(['2/0 attempt 1', 'completed 2/0'])
  })

  test('after the pause of a failure: the retry waits, and is the next attempt', async () => {
    const delivered = delivery(eachRecord({ '1/0': 1 }, { '1/0': () => (ours = !ours) })).deliver([recordOf(1)], 0)
    await clock.advanceAsync(50)
    expect(log).toEqual(['1/0 attempt 1', 'doubt'])
    ours = true
    answers[0]!(true)
    expect(await delivered).toBe(true)
    expect(log.slice(2)).toEqual(['1/0 attempt 2', 'completed 1/0'])
  })

  test('in doubt again when the answer is read: asked again', async () => {
    ours = false
    const delivered = delivery(eachRecord()).deliver([recordOf(1)], 0)
    answers[0]!(true)
    await clock.advanceAsync(0)
    expect(log).toEqual(['doubt', 'doubt'])
    ours = true
    answers[1]!(true)
    expect(await delivered).toBe(true)
  })

  test('lost: no call', async () => {
    ours = false
    const inOrder = delivery(eachRecord())
    const delivered = inOrder.deliver([recordOf(1)], 0)
    answers[0]!(false)
    expect(await delivered).toBe(false)
    expect([log, inOrder.outstanding]).toEqual([['doubt'], 1])
  })

  test('halted meanwhile: does not wait for the answer, and heeds none', async () => {
    ours = false
    const delivered = delivery(eachRecord()).deliver([recordOf(1)], 0)
    halt.abort()
    expect(await delivered).toBe(false)
    ours = true
    answers[0]!(true)
    await clock.advanceAsync(0)
    expect(log).toEqual(['doubt'])
  })

  test('many doubts in a long life leave nothing behind', async () => {
    const inOrder = delivery(eachRecord())
    const listeners = getEventListeners(halt.signal, 'abort')
    for (let i = 0; i < 20; i++) {
      ours = false
      const delivered = inOrder.deliver([recordOf(i)], 0)
      ours = true
      answers[i]!(true)
      expect(await delivered).toBe(true)
    }
    expect(getEventListeners(halt.signal, 'abort')).toEqual(listeners)
  })

  test('nothing runs between the question and the call: after a pause of the process the answer would be old', async () => {
    const inOrder = new InOrderDelivery({
      lease: {
        shardId: 'shard',
        signal: lost.signal,
        isOurs: () => {
          log.push('asked')
          queueMicrotask(() => log.push('later'))
          return true
        },
        revalidate,
      },
      handlers: eachRecord({ '1/0': 1 }),
      onFailure: 'retry',
      backoff: { baseMs: 100, maxMs: 300 },
      clock,
      random: () => 0,
      halt: halt.signal,
      checkpoints: completions(() => {}),
      emit: () => {},
    })
    const delivered = inOrder.deliver([recordOf(1), recordOf(2)], 0)
    await clock.advanceAsync(50)
    expect(await delivered).toBe(true)
    const calls = log.flatMap((each, i) => (each.includes('attempt') ? [[log[i - 1], each]] : []))
    expect(calls).toEqual(['1/0 attempt 1', '1/0 attempt 2', '2/0 attempt 1'].map((call) => ['asked', call]))
  })
})

test('property: whatever fails and whenever it is halted, calls and completions are in order without a gap, each once', async () => {
  const check = async (failures: readonly number[], haltAfter: number | undefined, batch: number): Promise<void> => {
    const time = new ManualClock()
    const stop = new AbortController()
    const calls: number[] = []
    const completed: number[] = []
    const inOrder = new InOrderDelivery({
      lease: { shardId: 'shard', signal: new AbortController().signal, isOurs: () => true, revalidate: async () => true },
      handlers: {
        eachRecord: async ({ sequenceNumber }, { attempt }) => {
          calls.push(Number(sequenceNumber))
          if (calls.length === haltAfter) stop.abort()
          if (attempt <= failures[Number(sequenceNumber)]!) throw new Error('not now')
        },
      },
      onFailure: 'retry',
      backoff: { baseMs: 1, maxMs: 1 },
      clock: time,
      random: () => 0,
      halt: stop.signal,
      checkpoints: completions(({ sequenceNumber }) => completed.push(Number(sequenceNumber))),
      emit: () => {},
    })
    const expected = failures.flatMap((times, i) => Array.from({ length: times + 1 }, () => i)).slice(0, haltAfter)
    const done = failures.flatMap((_, i) => (expected.filter((each) => each === i).length === failures[i]! + 1 ? [i] : []))
    for (let first = 0; first < failures.length; first += batch) {
      const records = failures.slice(first, first + batch).map((_, i) => recordOf(first + i))
      const delivered = inOrder.deliver(records, 0)
      await time.advanceAsync(100)
      expect(await delivered).toBe(done.length >= first + records.length)
    }
    expect(calls).toEqual(expected)
    expect(completed).toEqual(done)
    expect(inOrder.outstanding).toBe(failures.length - done.length)
    expect(time.pendingTimers).toBe(0)
  }
  const failures = fc.array(fc.nat(2), { maxLength: 8 })
  const haltAfter = fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined })
  await fc.assert(fc.asyncProperty(failures, haltAfter, fc.integer({ min: 1, max: 4 }), check))
})

function withThen(target: object, value: unknown): object {
  return Object.assign(target, Object.fromEntries(new Map([['then', value]])))
}

function raise(error: Error): never {
  throw error
}
