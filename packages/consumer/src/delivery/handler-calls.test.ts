import { ManualClock } from '@shardwise/core/clock'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { sharedAbort } from '../shared-abort.js'
import type { ConsumedRecord } from './consumed-record.js'
import type { DeliveryEvent } from './delivery-event.js'
import { FailedAtError } from './failed-at-error.js'
import type { DeadLetter, FailurePolicy } from './failure-policy.js'
import type { Handlers } from './handler.js'
import { InOrderDelivery } from './in-order-delivery.js'
import { completions } from './testing/completions.js'
import { recordOf } from './testing/record-of.js'

const POISON = new Error('poison')

let clock: ManualClock
let halt: AbortController
let lost: AbortController
/** Calls and completions, in order. */
let log: string[]
let events: DeliveryEvent[]
let ours: boolean

beforeEach(() => {
  clock = new ManualClock()
  halt = sharedAbort()
  lost = sharedAbort()
  log = []
  events = []
  ours = true
})

afterEach(() => {
  expect(clock.pendingTimers).toBe(0)
})

function delivery(
  handlers: Handlers,
  onFailure: FailurePolicy,
  revalidate = async (): Promise<boolean> => false,
): InOrderDelivery {
  return new InOrderDelivery({
    lease: { shardId: 'shard', signal: lost.signal, isOurs: () => ours, revalidate },
    handlers,
    onFailure,
    backoff: { baseMs: 100, maxMs: 300 },
    clock,
    random: () => 0,
    halt: halt.signal,
    checkpoints: completions(({ sequenceNumber }) => log.push(`completed ${sequenceNumber}`)),
    emit: (event) => events.push(event),
  })
}

const numbers = (records: readonly ConsumedRecord[]): string => records.map(({ sequenceNumber }) => sequenceNumber).join(' ')

/** Fails a batch that holds one of `poison`, naming the first of them if asked to. */
function batches(poison: readonly number[], named = false): Handlers {
  return {
    eachBatch: async (records, { attempt }) => {
      log.push(`[${numbers(records)}] ${attempt}`)
      const bad = records.find(({ sequenceNumber }) => poison.includes(Number(sequenceNumber)))
      if (bad !== undefined) throw named ? new FailedAtError(bad, { cause: POISON }) : POISON
    },
  }
}

const poisonous = (...poison: number[]): Handlers => ({
  eachRecord: async ({ sequenceNumber }, { attempt }) => {
    log.push(`${sequenceNumber} attempt ${attempt}`)
    if (poison.includes(Number(sequenceNumber))) throw POISON
  },
})

const records = (count: number): ConsumedRecord[] => Array.from({ length: count }, (_, i) => recordOf(i))
const types = (): string[] => events.map(({ type }) => type)
const at = (sequenceNumber: string): object => ({ shardId: 'shard', sequenceNumber, subSequenceNumber: 0, partitionKey: 'a' })

describe('what the handler has checkpointed itself before it failed is completed', () => {
  const upTo = (fails: number, mark: number): Handlers => ({
    eachBatch: async (given, { attempt, checkpoint }) => {
      log.push(`[${numbers(given)}] ${attempt}`)
      if (attempt > fails) return
      const marked = given.find(({ sequenceNumber }) => Number(sequenceNumber) === mark)
      if (marked !== undefined) await checkpoint(marked)
      throw POISON
    },
  })

  test('the records behind it are handed over again, as a batch that has not failed yet', async () => {
    const inOrder = delivery(upTo(1, 1), { attempts: 1, giveUp: 'skip' })
    const delivered = inOrder.deliver(records(4), 0)
    await clock.advanceAsync(150)
    expect(await delivered).toBe(true)
    expect(log).toEqual(['[0 1 2 3] 1', 'completed 1', '[2 3] 2', 'completed 3'])
    expect(events).toMatchObject([{ type: 'handler-failed', sequenceNumber: '2', records: 2, attempt: 1, retryInMs: 50 }])
  })

  test('all of them: the failure is announced, and the shard goes on', async () => {
    const inOrder = delivery(upTo(1, 3), 'retry')
    expect(await inOrder.deliver(records(4), 0)).toBe(true)
    expect(log).toEqual(['[0 1 2 3] 1', 'completed 3'])
    expect(events).toMatchObject([
      { type: 'handler-failed', sequenceNumber: '3', records: 0, retryInMs: undefined, error: POISON },
    ])
    expect(inOrder.outstanding).toBe(0)
  })

  test('a dead letter may checkpoint the record that it takes', async () => {
    const inOrder = delivery(poisonous(1), {
      attempts: 1,
      giveUp: {
        deadLetter: async (record, _error, { checkpoint }) => {
          await checkpoint(record)
          log.push(`dead ${record.sequenceNumber}`)
        },
      },
    })
    expect(await inOrder.deliver(records(3), 0)).toBe(true)
    expect(log).toEqual([
      ...['0 attempt 1', 'completed 0', '1 attempt 1', 'dead 1', 'completed 1'],
      ...['2 attempt 1', 'completed 2'],
    ])
  })

  test('without a record it covers this call alone: of a batch that is halved, the half in hand', async () => {
    const inOrder = delivery(
      {
        eachBatch: async (given, { checkpoint }) => {
          log.push(`[${numbers(given)}]`)
          if (given.length > 2) throw POISON
          await checkpoint()
          throw POISON
        },
      },
      { attempts: 2, giveUp: 'skip' },
    )
    const delivered = inOrder.deliver(records(4), 0)
    await clock.advanceAsync(1_000)
    expect(await delivered).toBe(true)
    expect(log).toEqual(['[0 1 2 3]', '[0 1 2 3]', '[0 1]', 'completed 1', '[2 3]', 'completed 3'])
  })
})

describe('a record that fails as often as it may', () => {
  test("'skip': the shard goes on without it, and says so", async () => {
    const delivered = delivery(poisonous(1), { attempts: 3, giveUp: 'skip' }).deliver(records(3), 0)
    await clock.advanceAsync(150)
    expect(await delivered).toBe(true)
    expect(log).toEqual([
      ...['0 attempt 1', 'completed 0', '1 attempt 1', '1 attempt 2', '1 attempt 3', 'completed 1'],
      ...['2 attempt 1', 'completed 2'],
    ])
    expect(events).toMatchObject([
      { type: 'handler-failed', attempt: 1, retryInMs: 50 },
      { type: 'handler-failed', attempt: 2, retryInMs: 100 },
      { type: 'handler-failed', attempt: 3, retryInMs: undefined },
      { type: 'record-skipped', ...at('1'), error: POISON },
    ])
  })

  test('deadLetter: completed once it has taken the record, whatever it takes', async () => {
    let resolve: (() => void) | undefined
    const given: unknown[] = []
    const deadLetter: DeadLetter = (record, error, { attempt, signal }) => {
      given.push([record.sequenceNumber, error, attempt, signal])
      if (attempt < 3) throw new Error(`no letter box ${attempt}`)
      return new Promise<void>((done) => {
        resolve = done
      })
    }
    const delivered = delivery(poisonous(0), { attempts: 1, giveUp: { deadLetter } }).deliver(records(2), 0)
    await clock.advanceAsync(10_000)
    expect(given).toEqual([1, 2, 3].map((attempt) => ['0', POISON, attempt, lost.signal]))
    expect(log).toEqual(['0 attempt 1'])
    resolve!()
    expect(await delivered).toBe(true)
    expect(log).toEqual(['0 attempt 1', 'completed 0', '1 attempt 1', 'completed 1'])
    expect(events).toMatchObject([
      { type: 'handler-failed' },
      { type: 'dead-letter-failed', ...at('0'), error: { message: 'no letter box 1' }, attempt: 1, retryInMs: 50 },
      { type: 'dead-letter-failed', ...at('0'), error: { message: 'no letter box 2' }, attempt: 2, retryInMs: 100 },
      { type: 'record-dead-lettered', ...at('0'), error: POISON },
    ])
  })

  test("'stop-shard': nothing more is handed over, nothing completed, and it stays so until halted", async () => {
    const inOrder = delivery(poisonous(1), { attempts: 2, giveUp: 'stop-shard' })
    let settled = false
    const delivered = inOrder.deliver(records(3), 0).finally(() => {
      settled = true
    })
    await clock.advanceAsync(3_600_000)
    expect([settled, inOrder.outstanding]).toEqual([false, 2])
    expect(log).toEqual(['0 attempt 1', 'completed 0', '1 attempt 1', '1 attempt 2'])
    expect(events.at(-1)).toEqual({ type: 'shard-blocked', ...at('1'), error: POISON })
    halt.abort()
    expect(await delivered).toBe(false)
    expect(types()).toEqual(['handler-failed', 'handler-failed', 'shard-blocked'])
  })

  const deadLetter: DeadLetter = () => void log.push('dead letter')
  const ways: FailurePolicy[] = [
    { attempts: 1, giveUp: 'skip' },
    { attempts: 1, giveUp: 'stop-shard' },
    { attempts: 1, giveUp: { deadLetter } },
  ]
  test.each(ways)('is not given up when halted in its last attempt: it is the next owner’s (%o)', async (onFailure) => {
    const eachRecord = (): never => {
      halt.abort()
      throw POISON
    }
    expect(await delivery({ eachRecord }, onFailure).deliver(records(2), 0)).toBe(false)
    expect([types(), log]).toEqual([['handler-failed'], []])
  })

  test.each(ways)('is not given up when the lease is lost in its last attempt (%o)', async (onFailure) => {
    const eachRecord = (): never => {
      ours = false
      throw POISON
    }
    expect(await delivery({ eachRecord }, onFailure).deliver(records(2), 0)).toBe(false)
    expect([types(), log]).toEqual([['handler-failed'], []])
  })

  test('in doubt after its last attempt: given up when the lease is known to be ours', async () => {
    let answer: ((ours: boolean) => void) | undefined
    const revalidate = (): Promise<boolean> =>
      new Promise((resolve) => {
        answer = resolve
      })
    const eachRecord = (): never => {
      ours = false
      throw POISON
    }
    const delivered = delivery({ eachRecord }, { attempts: 1, giveUp: { deadLetter } }, revalidate).deliver(records(1), 0)
    await clock.advanceAsync(1000)
    expect(log).toEqual([])
    ours = true
    answer!(true)
    expect(await delivered).toBe(true)
    expect(log).toEqual(['dead letter', 'completed 0'])
  })

  test('told to give up in a dead letter call, it throws: no failure, not completed', async () => {
    const gives: DeadLetter = () => {
      halt.abort()
      lost.abort()
      throw new Error('given up')
    }
    expect(await delivery(poisonous(0), { attempts: 1, giveUp: { deadLetter: gives } }).deliver(records(1), 0)).toBe(false)
    expect([types(), log]).toEqual([['handler-failed'], ['0 attempt 1']])
  })

  test('told to give up in a dead letter call, it returns: not completed, since it may have given up', async () => {
    const gives: DeadLetter = () => {
      halt.abort()
      lost.abort()
    }
    expect(await delivery(poisonous(0), { attempts: 1, giveUp: { deadLetter: gives } }).deliver(records(1), 0)).toBe(false)
    expect([types(), log]).toEqual([['handler-failed'], ['0 attempt 1']])
  })

  test('halted in the pause of a dead letter that failed: not completed', async () => {
    const refuses: DeadLetter = () => {
      throw new Error('no letter box')
    }
    const delivered = delivery(poisonous(0), { attempts: 1, giveUp: { deadLetter: refuses } }).deliver(records(1), 0)
    await clock.advanceAsync(20)
    halt.abort()
    expect(await delivered).toBe(false)
    expect(log).toEqual(['0 attempt 1'])
  })
})

describe('a batch that fails', () => {
  test('attempts: halved until the record is found, which alone is given up; the rest is handed over in order', async () => {
    const delivered = delivery(batches([2]), { attempts: 2, giveUp: 'skip' }).deliver(records(6), 0)
    await clock.advanceAsync(10_000)
    expect(await delivered).toBe(true)
    expect(log).toEqual([
      ...['[0 1 2 3 4 5] 1', '[0 1 2 3 4 5] 2'],
      ...['[0 1 2] 3', '[0 1 2] 4'],
      ...['[0 1] 5', 'completed 1'],
      ...['[2] 5', '[2] 6', 'completed 2'],
      ...['[3 4 5] 3', 'completed 5'],
    ])
    expect(events.filter(({ type }) => type !== 'handler-failed')).toMatchObject([{ type: 'record-skipped', ...at('2') }])
  })

  test('a passing failure: the second call is with all of them', async () => {
    let calls = 0
    const eachBatch = (given: readonly ConsumedRecord[]): void => {
      log.push(numbers(given))
      if (++calls === 1) throw POISON
    }
    const delivered = delivery({ eachBatch }, { attempts: 1, giveUp: 'skip' }).deliver(records(3), 0)
    await clock.advanceAsync(50)
    expect(await delivered).toBe(true)
    expect(log).toEqual(['0 1 2', '0 1 2', 'completed 2'])
  })

  test("'stop-shard': what comes before the record is completed, what comes after it is not handed over", async () => {
    const delivered = delivery(batches([2]), { attempts: 1, giveUp: 'stop-shard' }).deliver(records(4), 0)
    await clock.advanceAsync(10_000)
    expect(log.filter((each) => each.startsWith('completed'))).toEqual(['completed 1'])
    expect(events.at(-1)).toMatchObject({ type: 'shard-blocked', ...at('2') })
    expect(log).not.toContainEqual(expect.stringMatching(/\[3/))
    halt.abort()
    expect(await delivered).toBe(false)
  })

  test("named, 'retry': those before the record are completed, the rest is repeated", async () => {
    const inOrder = delivery(batches([1], true), 'retry')
    const delivered = inOrder.deliver(records(3), 0)
    await clock.advanceAsync(200)
    expect(log).toEqual(['[0 1 2] 1', 'completed 0', '[1 2] 2', '[1 2] 3'])
    expect(inOrder.outstanding).toBe(2)
    expect(events).toMatchObject([
      { ...at0('1'), records: 2, attempt: 1, retryInMs: 50, error: { cause: POISON } },
      { ...at0('1'), records: 2, attempt: 2, retryInMs: 100 },
      { ...at0('1'), records: 2, attempt: 3, retryInMs: 150 },
    ])
    halt.abort()
    expect(await delivered).toBe(false)
  })

  test('named, attempts: no search, the record is tried alone and given up', async () => {
    const delivered = delivery(batches([1, 3], true), { attempts: 2, giveUp: 'skip' }).deliver(records(5), 0)
    await clock.advanceAsync(10_000)
    expect(await delivered).toBe(true)
    expect(log).toEqual([
      ...['[0 1 2 3 4] 1', 'completed 0', '[1] 2', 'completed 1'],
      ...['[2 3 4] 2', 'completed 2', '[3] 3', 'completed 3', '[4] 3', 'completed 4'],
    ])
  })

  test('named while halted: what came before it is completed all the same', async () => {
    const eachBatch = ([, second]: readonly ConsumedRecord[]): never => {
      halt.abort()
      throw new FailedAtError(second!)
    }
    expect(await delivery({ eachBatch }, 'retry').deliver(records(3), 0)).toBe(false)
    expect(log).toEqual(['completed 0'])
  })

  test('named by one that was told to give up: what came before is completed, and that is no failure', async () => {
    const eachBatch = ([, second]: readonly ConsumedRecord[]): never => {
      halt.abort()
      lost.abort()
      throw new FailedAtError(second!)
    }
    expect(await delivery({ eachBatch }, 'retry').deliver(records(3), 0)).toBe(false)
    expect([log, types()]).toEqual([['completed 0'], []])
  })

  test('one that was told to give up and returns may have done so half-way: none of its records is completed', async () => {
    const eachBatch: Handlers['eachBatch'] = async (given, { signal }) => {
      for (const record of given) {
        if (signal.aborted) return
        log.push(record.sequenceNumber)
        if (record.sequenceNumber === '1') {
          halt.abort()
          lost.abort()
        }
      }
    }
    const inOrder = delivery({ eachBatch }, 'retry')
    expect(await inOrder.deliver(records(3), 0)).toBe(false)
    expect([log, types(), inOrder.outstanding]).toEqual([['0', '1'], [], 3])
  })

  test.each<[string, (given: ConsumedRecord[]) => unknown]>([
    ['empties', (given) => given.splice(0)],
    ['sorts', (given) => given.reverse()],
    ['shortens', (given) => given.pop()],
  ])('what its handler %s is a copy: the records that are completed stay those that were handed over', async (_, change) => {
    const eachBatch = (given: readonly ConsumedRecord[], { attempt }: { attempt: number }): void => {
      log.push(numbers(given))
      change(given as ConsumedRecord[])
      if (attempt < 4) throw POISON
    }
    const delivered = delivery({ eachBatch }, { attempts: 9, giveUp: 'skip' }).deliver(records(4), 0)
    await clock.advanceAsync(10_000)
    expect(await delivered).toBe(true)
    expect(log).toEqual(['0 1 2 3', '0 1 2 3', '0 1', '0 1', 'completed 1', '2 3', '2 3', 'completed 3'])
  })

  test('a name that is not of the batch: the whole batch has failed', async () => {
    const eachBatch = (given: readonly ConsumedRecord[], { attempt }: { attempt: number }): void => {
      log.push(numbers(given))
      if (attempt === 1) throw new FailedAtError(recordOf(99))
    }
    const inOrder = delivery({ eachBatch }, 'retry')
    const delivered = inOrder.deliver(records(3), 0)
    await clock.advanceAsync(50)
    expect(await delivered).toBe(true)
    expect(log).toEqual(['0 1 2', '0 1 2', 'completed 2'])
  })

  test('property: exactly the poison is given up, all else is handled, in order, with few calls', async () => {
    const check = async (size: number, lots: readonly number[], attempts: number, named: boolean): Promise<void> => {
      clock = new ManualClock()
      const poison = [...new Set(lots.map((lot) => lot % size))].toSorted((a, b) => a - b)
      const handled: string[] = []
      const dead: string[] = []
      log = []
      events = []
      const handlers = batches(poison, named)
      const eachBatch: Handlers['eachBatch'] = async (given, context) => {
        await handlers.eachBatch!(given, context)
        handled.push(...given.map(({ sequenceNumber }) => sequenceNumber))
      }
      const deadLetter: DeadLetter = ({ sequenceNumber }) => void dead.push(sequenceNumber)
      const delivered = delivery({ eachBatch }, { attempts, giveUp: { deadLetter } }).deliver(records(size), 0)
      await clock.advanceAsync(3_600_000)
      expect(await delivered).toBe(true)
      expect(dead).toEqual(poison.map(String))
      // Of a named failure the records before it are handled, although the call has failed.
      const expected = records(size).map(({ sequenceNumber }) => sequenceNumber)
      if (!named) expect(handled).toEqual(expected.filter((each) => !dead.includes(each)))
      const completed = log.flatMap((each) => (each.startsWith('completed ') ? [Number(each.slice(10))] : []))
      expect(completed).toEqual(completed.toSorted((a, b) => a - b))
      expect(completed.at(-1)).toBe(size - 1)
      const calls = log.filter((each) => each.startsWith('[')).length
      const levels = Math.ceil(Math.log2(size)) + 1
      expect(calls).toBeLessThanOrEqual(1 + poison.length * (3 * levels + attempts))
    }
    const size = fc.integer({ min: 1, max: 60 })
    await fc.assert(
      fc.asyncProperty(size, fc.array(fc.nat(), { maxLength: 4 }), fc.integer({ min: 1, max: 3 }), fc.boolean(), check),
    )
  })
})

function at0(sequenceNumber: string): object {
  return { type: 'handler-failed', shardId: 'shard', sequenceNumber, subSequenceNumber: 0 }
}
