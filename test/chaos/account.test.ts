import { beforeEach, describe, expect, it } from 'vitest'
import { Account } from './account.js'
import type { App } from './app.js'
import type { Fact } from './facts.js'
import { Trouble } from './trouble.js'

/** A fact without its time, which grows with each. */
type Told = Fact extends infer F ? (F extends unknown ? Omit<F, 'at'> : never) : never

const SHARD = 'shardId-000000000000'

describe('the account', () => {
  let account: Account
  let trouble: Trouble
  let now: number
  const stood = new Map<string, Trouble>()

  beforeEach(() => {
    account = new Account()
    trouble = new Trouble()
    now = 0
    stood.clear()
    account.addProducer(0, true, [trouble])
  })

  const say = (by: string, told: Told, at = ++now): void => {
    now = at
    account.add(by, by === 'producer' ? 0 : undefined, { at, ...told } as Fact)
  }
  const put = (count: number): void => say('producer', { fact: 'put', from: 0, count })
  const acknowledge = (...records: number[]): void =>
    say('producer', { fact: 'acknowledged', records: records.flatMap((record) => [record, 1]) })
  const took = (worker: string, shardId = SHARD): void => say(worker, { fact: 'took', shardId, resumeFrom: '' })
  const left = (worker: string, outcome: 'released' | 'lost', shardId = SHARD): void =>
    say(worker, { fact: 'left', shardId, outcome })
  let calls = 0
  const begin = (
    worker: string,
    generation: number,
    records: readonly number[],
    { sequenceNumber = '1', outside = false } = {},
  ): number => {
    const groups = [{ sequenceNumber, outside, records: records.flatMap((record) => [record, 0, record]) }]
    say(worker, { fact: 'began', call: ++calls, shardId: SHARD, generation, groups, foreign: 0 })
    return calls
  }
  const complete = (worker: string, call: number, aborted = false): void => say(worker, { fact: 'completed', call, aborted })
  const handle = (worker: string, generation: number, records: readonly number[], more = {}): void =>
    complete(worker, begin(worker, generation, records, more))
  const stand = (worker: string, from: number, to: number): void => {
    const known = stood.get(worker) ?? new Trouble()
    stood.set(worker, known)
    known.begin(from)(to)
  }
  const balance = (): ReturnType<Account['balance']> =>
    account.balance([...stood].map(([name, still]) => ({ name, stood: still }) as App))

  it('is well when what was acknowledged was completed once, in order', () => {
    put(3)
    acknowledge(0, 1, 2)
    took('one')
    handle('one', 1, [0, 1, 2])
    expect(balance()).toMatchObject({ isWell: true, acknowledged: 3, delivered: 3, lost: 0, duplicates: 0, findings: [] })
  })

  it('finds what was acknowledged and not completed: never begun, aborted, or left in the middle', () => {
    put(4)
    acknowledge(0, 1, 2, 3)
    took('one')
    handle('one', 1, [0])
    complete('one', begin('one', 1, [1]), true)
    begin('one', 1, [2])
    expect(balance()).toMatchObject({ isWell: false, lost: 3, delivered: 1 })
  })

  it('does not ask for what was never acknowledged', () => {
    put(2)
    acknowledge(0)
    say('producer', { fact: 'failed', record: 1, reason: 'expired', written: 'unknown' })
    took('one')
    handle('one', 1, [0])
    expect(balance()).toMatchObject({ isWell: true, lost: 0, failed: 1 })
  })

  it('finds what failed as never written and came all the same, what nobody put, and what did not settle before the close', () => {
    put(3)
    acknowledge(0)
    say('producer', { fact: 'failed', record: 1, reason: 'expired', written: 'no' })
    took('one')
    handle('one', 1, [0, 1, 7])
    expect(balance()).toMatchObject({ isWell: false, denied: 1, foreign: 1, unsettled: 0 })
    say('producer', { fact: 'closed' })
    expect(balance()).toMatchObject({ unsettled: 1 })
  })

  it('finds first deliveries out of order, of a key, of what was acknowledged', () => {
    // Of these 200 some share a key.
    put(200)
    acknowledge(...Array.from({ length: 200 }, (_, record) => record))
    took('one')
    handle(
      'one',
      1,
      Array.from({ length: 200 }, (_, i) => 199 - i),
    )
    expect(balance().outOfOrder).toBeGreaterThan(100)
    const unordered = new Account()
    unordered.addProducer(0, false, [])
    expect(unordered.balance([]).outOfOrder).toBe(0)
  })

  describe('what comes twice', () => {
    beforeEach(() => {
      put(1)
      acknowledge(0)
      took('one')
    })

    it('is explained when the first had died', () => {
      handle('one', 1, [0])
      account.tenures.died('one', ++now)
      took('two')
      handle('two', 2, [0])
      expect(balance()).toMatchObject({ isWell: true, duplicates: 1, unexplainedDuplicates: 0 })
    })

    it('is explained when the first had lost the lease, also when it comes late', () => {
      took('two')
      handle('two', 2, [0])
      stand('one', 1, now + 1)
      handle('one', 1, [0])
      left('one', 'lost')
      expect(balance()).toMatchObject({ isWell: true, duplicates: 1, unexplainedDuplicates: 0, lateAfterStandstill: 1 })
    })

    it('is not explained when the first gave the lease back in order', () => {
      handle('one', 1, [0])
      left('one', 'released')
      took('two')
      handle('two', 2, [0])
      expect(balance()).toMatchObject({ isWell: false, duplicates: 1, unexplainedDuplicates: 1 })
    })

    it('is not explained within one tenure, though that ends in death', () => {
      handle('one', 1, [0])
      handle('one', 1, [0])
      account.tenures.died('one', ++now)
      expect(balance()).toMatchObject({ unexplainedDuplicates: 1 })
    })

    it('is not explained by the death of the last one', () => {
      handle('one', 1, [0])
      left('one', 'released')
      took('two')
      handle('two', 2, [0])
      account.tenures.died('two', ++now)
      expect(balance()).toMatchObject({ unexplainedDuplicates: 1 })
    })

    it('as another copy needs trouble between the put and the answer, or a wrong shard', () => {
      handle('one', 1, [0], { sequenceNumber: '1' })
      handle('one', 1, [0], { sequenceNumber: '2' })
      expect(balance()).toMatchObject({ unexplainedDuplicates: 1 })
      trouble.begin(50)(60)
      expect(balance()).toMatchObject({ unexplainedDuplicates: 1 })
      trouble.moment(1.5)
      expect(balance()).toMatchObject({ duplicates: 1, unexplainedDuplicates: 0 })
    })

    it('as another copy of an aggregate in a wrong shard is explained', () => {
      handle('one', 1, [0], { sequenceNumber: '1', outside: true })
      handle('one', 1, [0], { sequenceNumber: '2' })
      expect(balance()).toMatchObject({ duplicates: 1, unexplainedDuplicates: 0 })
    })
  })

  describe('split ownership', () => {
    beforeEach(() => {
      put(4)
      acknowledge(0, 1, 2, 3)
      took('one')
      handle('one', 1, [0])
    })

    it('is a call that begins after a later owner has begun', () => {
      took('two')
      handle('two', 2, [1, 2, 3])
      handle('one', 1, [1])
      expect(balance()).toMatchObject({ splitOwnership: 1 })
    })

    it('is a call beside one of another worker', () => {
      const slow = begin('one', 1, [1])
      took('two')
      handle('two', 2, [2, 3])
      complete('one', slow)
      expect(balance()).toMatchObject({ splitOwnership: 1, lateAfterStandstill: 0 })
      stand('one', 6.5, 7.5)
      expect(balance()).toMatchObject({ splitOwnership: 0, lateAfterStandstill: 1 })
    })

    it('is none in turn, and not beside the dead', () => {
      begin('one', 1, [1])
      account.tenures.died('one', ++now)
      took('two')
      handle('two', 2, [1, 2, 3])
      left('two', 'released')
      took('one')
      handle('one', 3, [])
      expect(balance()).toMatchObject({ isWell: true, splitOwnership: 0 })
    })

    it('is a checkpoint that moves back', () => {
      const row = (checkpoint: string, subSequenceNumber: number): void =>
        say('dynamodb', { fact: 'row', leaseKey: SHARD, checkpoint, subSequenceNumber })
      row('TRIM_HORIZON', 0)
      row('99', 0)
      row('100', 3)
      row('100', 3)
      row('SHARD_END', 0)
      handle('one', 1, [1, 2, 3])
      expect(balance()).toMatchObject({ isWell: true })
      expect(account.landedCheckpoints).toBe(2)
      row('100', 2)
      expect(balance()).toMatchObject({ isWell: false, splitOwnership: 1 })
    })
  })
})
