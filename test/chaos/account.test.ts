import { beforeEach, describe, expect, it } from 'vitest'
import { Account } from './account.js'
import type { Fact } from './facts.js'
import { Trouble } from './trouble.js'

/** A fact without its time, which grows with each. */
type Told = Fact extends infer F ? (F extends unknown ? Omit<F, 'at'> : never) : never

const SHARD = 'shardId-000000000000'
const FAILOVER_MS = 10

describe('the account', () => {
  let account: Account
  /** Of the producer with Kinesis, and of each worker with the table. */
  let lost: Trouble
  let table: Map<string, Trouble>
  let stood: Map<string, Trouble>
  let now: number

  beforeEach(() => {
    account = new Account(FAILOVER_MS)
    now = 100
    lost = new Trouble()
    account.addProducer(0, true, [lost])
    table = new Map(['one', 'two'].map((name) => [name, new Trouble()]))
    stood = new Map(['one', 'two'].map((name) => [name, new Trouble()]))
    for (const [name, trouble] of table) account.addWorker(name, stood.get(name)!, [trouble])
  })

  const say = (by: string, told: Told, at = ++now): void => {
    now = Math.max(now, at)
    account.add(by, by === 'producer' ? 0 : undefined, { at, ...told } as Fact)
  }
  const put = (count: number): void => say('producer', { fact: 'put', from: 0, count })
  const acknowledge = (...records: number[]): void =>
    say('producer', { fact: 'acknowledged', records: records.flatMap((record) => [record, 1]) })
  const row = (owner: string | undefined, { taken = false, checkpoint = 'TRIM_HORIZON', sub = 0 } = {}): void =>
    say('dynamodb', {
      ...{ fact: 'row', leaseKey: SHARD, taken, checkpoint, subSequenceNumber: sub },
      ...(owner !== undefined && { owner }),
    })
  const take = (worker: string, checkpoint = 'TRIM_HORIZON', sub = 0): void => row(worker, { taken: true, checkpoint, sub })
  const release = (checkpoint = 'TRIM_HORIZON'): void => row(undefined, { checkpoint })
  const die = (worker: string): void => account.died(worker, ++now, ++now)
  let calls = 0
  const begin = (
    worker: string,
    records: readonly number[],
    { sequenceNumber = '1', outside = false, at = now + 1 } = {},
  ): number => {
    const groups = [{ sequenceNumber, outside, records: records.flatMap((record) => [record, 0, record]) }]
    say(worker, { fact: 'began', call: ++calls, shardId: SHARD, groups, foreign: 0 }, at)
    return calls
  }
  const complete = (worker: string, call: number, aborted = false): void => say(worker, { fact: 'completed', call, aborted })
  const handle = (worker: string, records: readonly number[], more = {}): void => complete(worker, begin(worker, records, more))

  it('is well when what was acknowledged was completed once, in order', () => {
    put(3)
    acknowledge(0, 1, 2)
    take('one')
    handle('one', [0, 1, 2])
    row('one', { checkpoint: '1', sub: 2 })
    expect(account.balance()).toMatchObject({
      ...{ isWell: true, acknowledged: 3, delivered: 3, lost: 0, duplicates: 0, findings: [] },
      ...{ moves: 1, takeovers: 0, checkpoints: 1 },
    })
  })

  it('is not well when nothing was delivered', () => {
    expect(account.balance()).toMatchObject({ isWell: false })
  })

  it('finds what was acknowledged and not completed: never begun, aborted, or left in the middle', () => {
    put(4)
    acknowledge(0, 1, 2, 3)
    take('one')
    handle('one', [0])
    complete('one', begin('one', [1]), true)
    begin('one', [2])
    expect(account.balance()).toMatchObject({ isWell: false, lost: 3, delivered: 1 })
  })

  it('does not ask for what was never acknowledged', () => {
    put(2)
    acknowledge(0)
    say('producer', { fact: 'failed', record: 1, reason: 'expired', written: 'unknown' })
    take('one')
    handle('one', [0])
    expect(account.balance()).toMatchObject({ isWell: true, lost: 0, failed: 1 })
  })

  it('finds what failed as never written and came all the same, what nobody put, and what did not settle before the close', () => {
    put(3)
    acknowledge(0)
    say('producer', { fact: 'failed', record: 1, reason: 'expired', written: 'no' })
    take('one')
    handle('one', [0, 1, 7])
    expect(account.balance()).toMatchObject({ isWell: false, denied: 1, foreign: 1, unsettled: 0 })
    say('producer', { fact: 'closed' })
    expect(account.balance()).toMatchObject({ unsettled: 1 })
  })

  it('refuses a record that settles twice', () => {
    put(1)
    acknowledge(0)
    expect(() => acknowledge(0)).toThrow('settled twice')
  })

  it('counts what the service has throttled', () => {
    say('kinesis', { fact: 'throttled', writes: 3, reads: 0 })
    say('kinesis', { fact: 'throttled', writes: 1, reads: 1 })
    expect(account.balance().throttled).toEqual({ writes: 4, reads: 1 })
  })

  describe('the order of first deliveries of a key', () => {
    // Of these 200 some share a key.
    const all = Array.from({ length: 200 }, (_, record) => record)
    beforeEach(() => {
      put(200)
      acknowledge(...all)
      take('one')
    })

    it('is found broken within a call', () => {
      handle('one', [...all].reverse())
      expect(account.balance().outOfOrder).toBeGreaterThan(100)
    })

    it('is not asked for where none is promised', () => {
      account.addProducer(0, false, [])
      put(200)
      handle('one', [...all].reverse())
      expect(account.balance().outOfOrder).toBe(0)
    })

    it('goes by the time of the calls, not by when we hear of them: one pipe may be late', () => {
      const [first, second] = [now + 1, now + 2]
      begin('two', all.slice(100), { at: second })
      begin('one', all.slice(0, 100), { at: first })
      expect(account.balance().outOfOrder).toBe(0)
    })

    it('is found broken by a call of another worker that was before, and told of later', () => {
      const [first, second] = [now + 1, now + 2]
      begin('one', all.slice(0, 100), { at: second })
      begin('two', all.slice(100), { at: first })
      expect(account.balance().outOfOrder).toBeGreaterThan(50)
    })

    it('takes the earliest of several deliveries for the first', () => {
      const [first, second, third] = [now + 1, now + 2, now + 3]
      begin('one', all.slice(100), { at: second })
      begin('two', all.slice(0, 100), { at: third })
      begin('one', all.slice(0, 100), { at: first })
      expect(account.balance().outOfOrder).toBe(0)
    })
  })

  describe('what comes twice', () => {
    beforeEach(() => {
      put(1)
      acknowledge(0)
      take('one')
    })
    const expectUnexplained = (unexplainedDuplicates: number): void =>
      expect(account.balance()).toMatchObject({ isWell: unexplainedDuplicates === 0, duplicates: 1, unexplainedDuplicates })

    it('is explained when the first had died', () => {
      handle('one', [0])
      die('one')
      take('two')
      handle('two', [0])
      expectUnexplained(0)
      expect(account.balance().takeovers).toBe(1)
    })

    it.each(['standstill', 'trouble with the table'] as const)('is explained by a %s of the first', (cause) => {
      handle('one', [0])
      ;(cause === 'standstill' ? stood : table).get('one')!.begin(now)(now + 1)
      now += FAILOVER_MS
      take('two')
      handle('two', [0])
      expectUnexplained(0)
    })

    it('is explained when the first has lost the lease by trouble with the table, and taken it again', () => {
      handle('one', [0])
      table.get('one')!.moment(now)
      now += FAILOVER_MS
      take('one')
      handle('one', [0])
      expectUnexplained(0)
    })

    it('is explained by trouble shortly before, which had cost the renewals', () => {
      table.get('one')!.begin(now - FAILOVER_MS / 2)(now)
      handle('one', [0])
      take('two')
      handle('two', [0])
      expectUnexplained(0)
    })

    it('is not explained by trouble long before', () => {
      table.get('one')!.begin(now - 5 * FAILOVER_MS)(now - 2 * FAILOVER_MS)
      handle('one', [0])
      take('two')
      handle('two', [0])
      expectUnexplained(1)
    })

    it('is not explained by a lease that was taken from the living without a cause', () => {
      handle('one', [0])
      take('two')
      handle('two', [0])
      expectUnexplained(1)
    })

    it('is not explained when the first gave the lease back in order, though it died thereafter', () => {
      handle('one', [0])
      release()
      die('one')
      take('two')
      handle('two', [0])
      expectUnexplained(1)
    })

    it('is not explained within one tenure, though that ends in death', () => {
      handle('one', [0])
      handle('one', [0])
      die('one')
      expectUnexplained(1)
    })

    it('is not explained by the trouble of the last one', () => {
      handle('one', [0])
      release()
      take('two')
      table.get('two')!.moment(now)
      handle('two', [0])
      die('two')
      expectUnexplained(1)
    })

    it('is never allowed when the checkpoint covered it, whatever has happened', () => {
      handle('one', [0], { sequenceNumber: '7' })
      row('one', { checkpoint: '7', sub: 0 })
      die('one')
      take('two', '7', 0)
      handle('two', [0], { sequenceNumber: '7' })
      const balance = account.balance()
      expect(balance).toMatchObject({ isWell: false, behindCheckpoint: 1, unexplainedDuplicates: 0 })
      expect(balance.findings).toEqual([expect.stringContaining('behind the checkpoint: behind: two')])
    })

    it('as another copy needs trouble between the put and the answer, or a wrong shard', () => {
      handle('one', [0], { sequenceNumber: '1' })
      handle('one', [0], { sequenceNumber: '2' })
      expectUnexplained(1)
      lost.begin(150)(160)
      expectUnexplained(1)
      lost.moment(101.5)
      expectUnexplained(0)
    })

    it('as another copy of an aggregate in a wrong shard is explained', () => {
      handle('one', [0], { sequenceNumber: '1', outside: true })
      handle('one', [0], { sequenceNumber: '2' })
      expectUnexplained(0)
    })
  })

  describe('split ownership', () => {
    beforeEach(() => {
      put(4)
      acknowledge(0, 1, 2, 3)
      take('one')
      handle('one', [0])
    })

    it('is a call that begins when the lease is another’s by the table, whatever its process has gone through', () => {
      die('one')
      take('two')
      handle('two', [1, 2, 3])
      stood.get('one')!.begin(0)(now)
      handle('one', [1])
      expect(account.balance()).toMatchObject({ isWell: false, splitOwnership: 1, besideStandstill: 0 })
    })

    it('is a call after the lease was given back, and before it was taken', () => {
      release()
      handle('one', [1])
      handle('two', [2])
      take('two')
      handle('two', [3])
      expect(account.balance()).toMatchObject({ splitOwnership: 2 })
    })

    it('is a call beside one of another worker, unless that stood still in its middle', () => {
      const slow = begin('one', [1])
      const since = now
      take('two')
      handle('two', [2, 3])
      complete('one', slow)
      expect(account.balance()).toMatchObject({ isWell: false, splitOwnership: 1, besideStandstill: 0 })
      stood.get('one')!.begin(since - 5)(since - 1)
      expect(account.balance()).toMatchObject({ splitOwnership: 1 })
      stood.get('one')!.begin(since)(since + 1)
      expect(account.balance()).toMatchObject({ isWell: true, splitOwnership: 0, besideStandstill: 1 })
    })

    it('is a call beside one that has never returned', () => {
      begin('one', [1])
      take('two')
      handle('two', [2, 3])
      expect(account.balance()).toMatchObject({ splitOwnership: 1 })
    })

    it('goes by the time of the calls, not by when we hear of them', () => {
      take('two')
      handle('two', [2, 3], { at: now + 10 })
      // Before all of that.
      say('one', { fact: 'began', call: ++calls, shardId: SHARD, groups: [], foreign: 0 }, 103.1)
      say('one', { fact: 'completed', call: calls, aborted: false }, 103.2)
      expect(account.balance()).toMatchObject({ splitOwnership: 0 })
    })

    it('is none in turn, not beside the dead, and not in calls of one worker side by side', () => {
      begin('one', [1])
      die('one')
      take('two')
      const side = begin('two', [1, 2])
      handle('two', [3])
      complete('two', side)
      release()
      take('one')
      handle('one', [])
      expect(account.balance()).toMatchObject({ isWell: true, splitOwnership: 0, takeovers: 1, moves: 3 })
    })

    it('is a checkpoint that moves back', () => {
      row('one', { checkpoint: '99' })
      row('one', { checkpoint: '100', sub: 3 })
      row('one', { checkpoint: '100', sub: 3 })
      handle('one', [1, 2, 3])
      expect(account.balance()).toMatchObject({ isWell: true, checkpoints: 2 })
      row('one', { checkpoint: '100', sub: 2 })
      expect(account.balance()).toMatchObject({ isWell: false, splitOwnership: 1 })
    })

    it.each([
      ['100', 'TRIM_HORIZON'],
      ['SHARD_END', '100'],
      ['SHARD_END', 'TRIM_HORIZON'],
    ])('is a checkpoint that moves back from %s to %s, also by a row that was made anew', (from, to) => {
      handle('one', [1, 2, 3])
      row('one', { checkpoint: from })
      say('dynamodb', { fact: 'row', leaseKey: SHARD, taken: false })
      expect(account.balance()).toMatchObject({ isWell: true })
      row(undefined, { checkpoint: to })
      expect(account.balance()).toMatchObject({ isWell: false, splitOwnership: 1 })
    })
  })
})
