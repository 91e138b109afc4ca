import { ManualClock, sleep } from '@shardwise/core/clock'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
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

test('one more batch, after the last of the one before', async () => {
  const { eachRecord, started, end } = gated()
  const keys = delivery(eachRecord, 8)
  const first = keys.deliver(keyed('ab'), 0)
  await end(1)
  await end(0)
  expect(await first).toBe(true)
  const second = keys.deliver([recordOf(2, 0, 'a')], 0)
  expect([started, keys.outstanding]).toEqual([['0', '1', '2'], 1])
  await end(2)
  expect([await second, completed]).toEqual([true, [1, 2]])
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
  readonly lost: boolean
  /** Which of the checkpoints that it made is the one in the table. */
  readonly checkpoint: number
}

test('property: keys in order, calls within the limit, no checkpoint beyond an open record, no call without the lease, nothing left out', async () => {
  const check = async (
    given: readonly { readonly key: string; readonly failures: number; readonly ms: number }[],
    concurrency: number,
    read: number,
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
        halt: stop.signal,
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
      if (life !== undefined) {
        time.schedule(life.doubtAt, () => {
          trusted = false
        })
        time.schedule(life.doubtAt + life.doubtMs, () => {
          if (life.lost) stop.abort()
          else trusted = true
          for (const each of answer) each(!life.lost)
          answer = []
        })
      }
      let rest: boolean | undefined
      const run = async (): Promise<boolean> => {
        for (let at = from; at < records.length; at += read) {
          if (!(await keys.deliver(records.slice(at, at + read), 0))) return false
        }
        return true
      }
      void run().then((all) => {
        rest = all
      })
      while (rest === undefined || time.pendingTimers > 0) await time.advanceAsync(5)
      must(inHand.size === 0, 'settled with calls in hand')
      must(keys.outstanding === 0 || !rest, 'delivered, yet not completed')
      if (rest) must(checkpoints.at(-1) === records.length, 'delivered, yet not checkpointed')
      else must(stop.signal.aborted, 'given up without a reason')
      if (life !== undefined) from = checkpoints[life.checkpoint % checkpoints.length]!
    }
    expect(wrong).toEqual([])
    expect(settled.size).toBe(records.length)
  }
  const record = fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd', 'e'), failures: fc.nat(3), ms: fc.nat(4) })
  const life = fc.record({ doubtAt: fc.nat(40), doubtMs: fc.nat(10), lost: fc.boolean(), checkpoint: fc.nat(99) })
  await fc.assert(
    fc.asyncProperty(
      fc.array(record, { maxLength: 20 }),
      fc.integer({ min: 2, max: 5 }),
      fc.integer({ min: 1, max: 20 }),
      fc.boolean(),
      fc.array(life, { maxLength: 3 }),
      check,
    ),
    { numRuns: 150 },
  )
})
