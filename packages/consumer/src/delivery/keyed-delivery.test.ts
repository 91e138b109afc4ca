import { getEventListeners } from 'node:events'
import { ManualClock, sleep } from '@shardwise/core/clock'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ConsumedRecord } from './consumed-record.js'
import type { DeliveryEvent } from './delivery-event.js'
import type { FailurePolicy } from './failure-policy.js'
import type { EachRecord } from './handler.js'
import { KeyedDelivery } from './keyed-delivery.js'
import { completions } from './testing/completions.js'
import { recordOf } from './testing/record-of.js'

let clock: ManualClock
let halt: AbortController
let lost: AbortController
let ours: boolean
let completed: number[]
let events: DeliveryEvent[]

beforeEach(() => {
  clock = new ManualClock()
  halt = new AbortController()
  lost = new AbortController()
  ours = true
  completed = []
  events = []
})

afterEach(() => {
  expect(clock.pendingTimers).toBe(0)
})

function delivery(eachRecord: EachRecord, concurrency: number, onFailure: FailurePolicy = 'retry'): KeyedDelivery {
  return new KeyedDelivery({
    lease: { shardId: 'shard', signal: lost.signal, isOurs: () => ours, revalidate: async () => false },
    handlers: { eachRecord },
    onFailure,
    concurrency,
    backoff: { baseMs: 100, maxMs: 300 },
    clock,
    random: () => 0,
    halt: halt.signal,
    checkpoints: completions(({ sequenceNumber }) => completed.push(Number(sequenceNumber)), true),
    emit: (event) => events.push(event),
  })
}

/** Calls that wait until the test ends them. */
function gated(): { eachRecord: EachRecord; started: string[]; end: (sequence: number, error?: Error) => Promise<void> } {
  const gates = new Map<string, { resolve: () => void; reject: (error: Error) => void }>()
  const started: string[] = []
  return {
    started,
    eachRecord: ({ sequenceNumber }) => {
      started.push(sequenceNumber)
      return new Promise<void>((resolve, reject) => gates.set(sequenceNumber, { resolve, reject }))
    },
    async end(sequence, error) {
      const { resolve, reject } = gates.get(String(sequence))!
      if (error === undefined) resolve()
      else reject(error)
      await clock.advanceAsync(0)
    },
  }
}

const keyed = (keys: string): ConsumedRecord[] => [...keys].map((key, i) => recordOf(i, 0, key))

test('keys side by side, no more than the limit; each key in order; the completed prefix waits for gaps', async () => {
  const { eachRecord, started, end } = gated()
  const delivered = delivery(eachRecord, 2).deliver(keyed('aabcb'), 0)
  expect(started).toEqual(['0', '2'])
  await end(2)
  expect([started.slice(2), completed]).toEqual([['3'], []])
  await end(3)
  expect([started.slice(3), completed]).toEqual([['4'], []])
  await end(0)
  expect([started.slice(4), completed]).toEqual([['1'], [0]])
  await end(4)
  expect(completed).toEqual([0])
  await end(1)
  expect(completed).toEqual([0, 4])
  expect(await delivered).toBe(true)
})

test('reads flow into each other: a slow key holds up itself alone, and the prefix spans reads', async () => {
  const { eachRecord, started, end } = gated()
  const keys = delivery(eachRecord, 3)
  const reads: string[] = []
  const deliver = (name: string, from: number, of: string): Promise<void> => {
    const records = [...of].map((key, i) => recordOf(from + i, 0, key))
    return keys.deliver(records, 0, () => reads.push(`${name} completed`)).then((all) => void reads.push(`${name} ${all}`))
  }
  void deliver('first', 0, 'ab')
  expect(await keys.room()).toBe(true)
  void deliver('second', 2, 'ac')
  expect(started).toEqual(['0', '1', '3'])
  await end(1)
  await end(3)
  void deliver('third', 4, 'bc')
  expect([started, completed, keys.outstanding]).toEqual([['0', '1', '3', '4', '5'], [], 6])
  await end(4)
  await end(5)
  expect([reads, completed]).toEqual([['third completed', 'third true'], []])
  await end(0)
  expect([reads.slice(2), completed]).toEqual([['first completed', 'first true'], [1]])
  await end(2)
  expect([reads.slice(4), completed, keys.outstanding]).toEqual([['second completed', 'second true'], [1, 5], 0])
})

test('there is no room while a slow record has 10,000 behind it, although they are completed', async () => {
  const { eachRecord, end } = gated()
  const keys = delivery((record, context) => (record.partitionKey === 'slow' ? eachRecord(record, context) : undefined), 4)
  let room: boolean | undefined
  void keys.deliver([recordOf(0, 0, 'slow'), ...Array.from({ length: 9998 }, (_, i) => recordOf(i + 1, 0, `${i % 7}`))], 0)
  await clock.advanceAsync(0)
  expect(await keys.room()).toBe(true)
  void keys.deliver([recordOf(9999, 0, 'a')], 0)
  await clock.advanceAsync(0)
  void keys.room().then((is) => {
    room = is
  })
  await clock.advanceAsync(0)
  expect([room, completed]).toEqual([undefined, []])
  await end(0)
  expect([room, completed]).toEqual([true, [9999]])
})

test('there is no room while reads of 16 MiB are open', async () => {
  const { eachRecord, end } = gated()
  const keys = delivery(eachRecord, 4)
  const large = (sequence: number, key: string): ConsumedRecord => ({
    ...recordOf(sequence, 0, key),
    bytes: new Uint8Array(8 * 1024 * 1024),
  })
  let room = 0
  void keys.deliver([large(0, 'a')], 0)
  expect(await keys.room()).toBe(true)
  void keys.deliver([large(1, 'b')], 0)
  void keys.room().then(() => room++)
  await clock.advanceAsync(0)
  expect(room).toBe(0)
  // Behind the first, but its bytes are free.
  await end(1)
  expect([room, completed]).toEqual([1, []])
  await end(0)
})

test('no records are no call', async () => {
  expect(await delivery(() => expect.unreachable(), 4).deliver([], 0)).toBe(true)
})

test('a key whose record fails waits; others go on', async () => {
  const { eachRecord, started, end } = gated()
  const delivered = delivery(eachRecord, 2).deliver(keyed('aabb'), 0)
  await end(0, new Error('not now'))
  await end(2)
  await end(3)
  expect([started, completed]).toEqual([['0', '2', '3'], []])
  await clock.advanceAsync(50)
  expect(started.slice(3)).toEqual(['0'])
  await end(0)
  await end(1)
  expect([await delivered, completed]).toEqual([true, [0, 3]])
})

test('halted: what is in hand finishes and is completed, then it settles', async () => {
  const { eachRecord, started, end } = gated()
  const keys = delivery(eachRecord, 2)
  let settled: boolean | undefined
  const delivered = keys.deliver(keyed('abc'), 0).then((all) => {
    settled = all
  })
  halt.abort()
  await end(1)
  expect(settled).toBeUndefined()
  await end(0)
  await delivered
  expect([settled, started, completed, keys.outstanding]).toEqual([false, ['0', '1'], [1], 1])
})

describe('halted, it closes the gaps before what was begun, so that nothing that is completed is repeated', () => {
  test('what waits behind a key in hand, and nothing beyond', async () => {
    const { eachRecord, started, end } = gated()
    const keys = delivery(eachRecord, 3)
    const delivered = keys.deliver(keyed('aabcbdab'), 0)
    await end(3)
    expect(started).toEqual(['0', '2', '3', '5'])
    halt.abort()
    let room: boolean | undefined
    void keys.room().then((is) => {
      room = is
    })
    await end(2)
    await end(5)
    await end(4)
    expect([started.slice(4), room]).toEqual([['4'], undefined])
    await end(0)
    await end(1)
    expect([await delivered, room, completed, started]).toEqual([false, false, [0, 5], ['0', '2', '3', '5', '4', '1']])
    expect(keys.outstanding).toBe(2)
  })

  test('all of the last read is completed: then it is delivered, although halted', async () => {
    const { eachRecord, end } = gated()
    const delivered = delivery(eachRecord, 2).deliver(keyed('aab'), 0)
    halt.abort()
    await end(2)
    await end(0)
    await end(1)
    expect([await delivered, completed]).toEqual([true, [0, 2]])
  })

  test('not behind a record that fails, which is not repeated', async () => {
    const { eachRecord, started, end } = gated()
    const delivered = delivery(eachRecord, 3, { attempts: 1, giveUp: 'skip' }).deliver(keyed('aabbcccd'), 0)
    await end(4)
    halt.abort()
    await end(0)
    expect(started).toEqual(['0', '2', '4', '5', '1'])
    await end(1, new Error('not now'))
    await end(5)
    await end(2)
    expect([await delivered, completed, started]).toEqual([false, [0], ['0', '2', '4', '5', '1']])
    expect(events.map(({ type }) => type)).toEqual(['handler-failed'])
  })

  test.each([
    ['the lease is in doubt, or its shard paused', () => (ours = false)],
    ['the calls were told to give up', () => lost.abort()],
  ])('not when %s', async (_, change) => {
    const { eachRecord, started, end } = gated()
    const delivered = delivery(eachRecord, 2).deliver(keyed('aab'), 0)
    change()
    halt.abort()
    await end(0)
    await end(2)
    expect([await delivered, started]).toEqual([false, ['0', '2']])
  })

  test('not where the shard is blocked', async () => {
    const { eachRecord, started, end } = gated()
    const delivered = delivery(eachRecord, 2, { attempts: 1, giveUp: 'stop-shard' }).deliver(keyed('aabb'), 0)
    await end(2, new Error('never'))
    halt.abort()
    await end(0)
    expect([await delivered, started, completed]).toEqual([false, ['0', '2'], [0]])
  })

  test('idle, it has no more room', async () => {
    const { eachRecord, end } = gated()
    const keys = delivery(eachRecord, 2)
    void keys.deliver(keyed('a'), 0)
    await end(0)
    halt.abort()
    expect(await keys.room()).toBe(false)
  })
})

test('asks whether the lease is ours right before each call: a call that blocked too long is the last', async () => {
  const started: string[] = []
  const eachRecord: EachRecord = ({ sequenceNumber }) => {
    started.push(sequenceNumber)
    if (sequenceNumber === '1') ours = false
  }
  expect(await delivery(eachRecord, 4).deliver(keyed('abcdabcd'), 0)).toBe(false)
  expect(started).toEqual(['0', '1'])
})

test("'stop-shard': the others finish what is in hand, none begins or repeats a call, and it stays so until halted", async () => {
  const { eachRecord, started, end } = gated()
  const keys = delivery(eachRecord, 3, { attempts: 2, giveUp: 'stop-shard' })
  const delivered = keys.deliver(keyed('abcabcd'), 0)
  await end(1, new Error('not now'))
  await clock.advanceAsync(50)
  await end(2, new Error('not now'))
  await end(1, new Error('never'))
  await end(0)
  await clock.advanceAsync(3_600_000)
  expect([started, completed]).toEqual([['0', '1', '2', '1'], [0]])
  expect(events.at(-1)).toMatchObject({
    type: 'shard-blocked',
    sequenceNumber: '1',
    partitionKey: 'b',
    error: { message: 'never' },
  })
  halt.abort()
  expect([await delivered, keys.outstanding]).toEqual([false, 6])
})

test('a fault of ours is told when nothing is in hand any more', async () => {
  const { eachRecord, started, end } = gated()
  const keys = new KeyedDelivery({
    lease: { shardId: 'shard', signal: halt.signal, isOurs: () => true, revalidate: async () => false },
    handlers: { eachRecord },
    onFailure: 'retry',
    concurrency: 2,
    backoff: { baseMs: 100, maxMs: 300 },
    clock,
    random: () => 0,
    halt: halt.signal,
    checkpoints: completions(({ sequenceNumber }) => {
      if (sequenceNumber === '0') throw new TypeError('bug')
    }, true),
    emit: () => {},
  })
  let told: unknown
  const delivered = keys.deliver(keyed('abab'), 0).catch((error: unknown) => {
    told = error
  })
  await end(0)
  expect(told).toBeUndefined()
  await end(1)
  await delivered
  expect([told, started]).toEqual([new TypeError('bug'), ['0', '1']])
})

/** One worker's time with the shard: when doubt begins, when it ends, and whether the lease is lost then. */
interface Life {
  readonly doubtAt: number
  readonly doubtMs: number
  /** `halted`: asked to finish, without any doubt. */
  readonly end: 'regained' | 'lost' | 'halted'
  /** Which of the checkpoints that it made is the one in the table. */
  readonly checkpoint: number
}

test('property: keys in order, calls within the limit, no checkpoint beyond an open record, no call without the lease, nothing left out', async () => {
  const check = async (
    given: readonly { readonly key: string; readonly failures: number; readonly ms: number }[],
    concurrency: number,
    read: number,
    gapMs: number,
    skips: boolean,
    lives: readonly Life[],
  ): Promise<void> => {
    const records = given.map(({ key }, i) => recordOf(i, 0, key))
    const attempts = 2
    /** Handled or skipped, in any life. */
    const settled = new Set<number>()
    const wrong: string[] = []
    const must = (holds: boolean, what: string): void => {
      if (!holds) wrong.push(what)
    }
    let from = 0
    for (const life of [...lives, undefined]) {
      const time = new ManualClock()
      const stop = new AbortController()
      const drain = new AbortController()
      const inHand = new Set<number>()
      const here = new Set<number>()
      const checkpoints: number[] = [from]
      const failed = new Map<number, number>()
      let trusted = true
      let answer: ((ours: boolean) => void)[] = []
      const keys = new KeyedDelivery({
        lease: {
          shardId: 'shard',
          signal: stop.signal,
          isOurs: () => trusted,
          revalidate: () => new Promise((resolve) => answer.push(resolve)),
        },
        handlers: {
          eachRecord: async ({ sequenceNumber, partitionKey }, { attempt }) => {
            const index = Number(sequenceNumber)
            must(trusted && !stop.signal.aborted, `${index} without the lease`)
            must(![...inHand].some((other) => given[other]!.key === partitionKey), `${index} beside another of its key`)
            for (let i = from; i < index; i++)
              must(given[i]!.key !== partitionKey || here.has(i), `${index} before ${i} of its key`)
            must(!here.has(index), `${index} again`)
            inHand.add(index)
            must(inHand.size <= concurrency, `${inHand.size} in hand`)
            if (given[index]!.ms > 0) await sleep(time, given[index]!.ms)
            inHand.delete(index)
            failed.set(index, attempt)
            if (attempt <= given[index]!.failures) throw new Error('not now')
            here.add(index)
            settled.add(index)
          },
        },
        onFailure: skips ? { attempts, giveUp: 'skip' } : 'retry',
        concurrency,
        backoff: { baseMs: 4, maxMs: 8 },
        clock: time,
        random: () => 0,
        halt: drain.signal,
        checkpoints: completions(({ sequenceNumber }) => {
          const end = Number(sequenceNumber) + 1
          must(end > checkpoints.at(-1)!, `${end} after ${checkpoints.at(-1)}`)
          for (let i = from; i < end; i++) must(settled.has(i), `completed up to ${end} without ${i}`)
          checkpoints.push(end)
        }, true),
        emit: (event) => {
          if (event.type !== 'record-skipped') return
          must(skips && failed.get(Number(event.sequenceNumber)) === attempts, `${event.sequenceNumber} skipped`)
          here.add(Number(event.sequenceNumber))
          settled.add(Number(event.sequenceNumber))
        },
      })
      const listeners = getEventListeners(drain.signal, 'abort').length
      if (life !== undefined) {
        time.schedule(life.doubtAt, () => {
          if (life.end === 'halted') drain.abort()
          else trusted = false
        })
        time.schedule(life.doubtAt + life.doubtMs, () => {
          if (life.end === 'lost') {
            drain.abort()
            stop.abort()
          } else trusted = true
          for (const each of answer) each(life.end !== 'lost')
          answer = []
        })
      }
      let rest: boolean | undefined
      const run = async (): Promise<boolean> => {
        const reads: Promise<boolean>[] = []
        for (let at = from; at < records.length; at += read) {
          if (!(await keys.room())) break
          reads.push(keys.deliver(records.slice(at, at + read), 0))
          await sleep(time, gapMs)
        }
        return (await Promise.all(reads)).every(Boolean) && reads.length * read >= records.length - from
      }
      void run().then((all) => {
        rest = all
      })
      while (rest === undefined || time.pendingTimers > 0) await time.advanceAsync(5)
      must(inHand.size === 0, 'settled with calls in hand')
      must(keys.outstanding === 0 || !rest, 'delivered, yet not completed')
      if (rest) must(checkpoints.at(-1) === records.length, 'delivered, yet not checkpointed')
      else must(drain.signal.aborted, 'given up without a reason')
      const end = checkpoints.at(-1)!
      // Behind a record that failed at last what is completed comes again, and for no other reason.
      if (life?.end === 'halted') must(Math.max(-1, ...here) < end || (failed.has(end) && !here.has(end)), `${end} repeats`)
      must(getEventListeners(drain.signal, 'abort').length === listeners || drain.signal.aborted || !rest, 'listens on')
      if (life?.end === 'halted') from = end
      else if (life !== undefined) from = checkpoints[life.checkpoint % checkpoints.length]!
    }
    expect(wrong).toEqual([])
    expect(settled.size).toBe(records.length)
  }
  const record = fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd', 'e'), failures: fc.nat(3), ms: fc.nat(4) })
  const end = fc.constantFrom<Life['end']>('regained', 'lost', 'halted')
  const life = fc.record({ doubtAt: fc.nat(40), doubtMs: fc.nat(10), end, checkpoint: fc.nat(99) })
  await fc.assert(
    fc.asyncProperty(
      fc.array(record, { maxLength: 20 }),
      fc.integer({ min: 2, max: 5 }),
      fc.integer({ min: 1, max: 20 }),
      fc.nat(3),
      fc.boolean(),
      fc.array(life, { maxLength: 3 }),
      check,
    ),
    { numRuns: 300 },
  )
})
