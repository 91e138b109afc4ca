import { ManualClock } from '@shardwise/core/clock'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TRIM_HORIZON } from '../checkpoints/position.js'
import type { Lease } from './lease.js'
import type { LeaseWrite } from './lease-store.js'
import { MemoryLeaseStore } from './memory-lease-store.js'
import { OwnedRow, type WriteOutcome } from './owned-row.js'
import { FaultyLeaseStore } from './testing/faulty-lease-store.js'
import { aLease } from './testing/lease-rows.js'
import { momentOf } from './trust-window.js'

const LIMIT = 100
const FAILOVER = 1_000
const TAKEN = aLease('s1', { leaseOwner: 'me', shardwiseOwner: 'me', leaseCounter: 7 })

function owned(clock: ManualClock, lease: Lease): OwnedRow {
  return new OwnedRow({ lease, sent: momentOf(clock), workerId: 'me', failoverTimeMs: FAILOVER, clock })
}

/** What the service does with one attempt: writes, finds another row, refuses the call, loses it (or its answer: no difference to us). */
type Answer = 'lands' | { readonly found: Partial<Lease> | undefined } | 'throttled' | 'lost' | 'silent'

/** One attempt every 200 ms, the first at 200. The take was sent at 0. */
test.each<{ what: string; answers: Answer[]; is: WriteOutcome['is']; uncertain?: boolean; counter: number; confirmedAt: number }>(
  [
    { what: 'lands', answers: ['lands'], is: 'landed', counter: 8, confirmedAt: 200 },
    { what: 'land one after the other', answers: ['lands', 'lands'], is: 'landed', counter: 9, confirmedAt: 400 },
    { what: 'is refused by the service', answers: ['throttled'], is: 'failed', counter: 7, confirmedAt: 0 },
    {
      what: 'lands after one that certainly did not',
      answers: ['throttled', 'lands'],
      is: 'landed',
      counter: 8,
      confirmedAt: 400,
    },
    { what: 'has no answer', answers: ['silent'], is: 'failed', counter: 7, confirmedAt: 0 },
    { what: 'lands after one that may have', answers: ['lost', 'lands'], is: 'landed', counter: 8, confirmedAt: 200 },
    {
      what: 'proves no more than the first that may have landed, whatever came between',
      answers: ['silent', 'lost', 'throttled', 'lands'],
      is: 'landed',
      counter: 8,
      confirmedAt: 200,
    },
    {
      what: 'finds that the one before has landed',
      answers: ['lost', { found: { leaseCounter: 8 } }],
      is: 'changed',
      counter: 8,
      confirmedAt: 200,
    },
    {
      what: 'begins anew once that is known',
      answers: ['lost', { found: { leaseCounter: 8 } }, 'lands'],
      is: 'landed',
      counter: 9,
      confirmedAt: 600,
    },
    {
      what: 'finds the one before landed, and a handoff requested since',
      answers: ['lost', { found: { leaseCounter: 8, leaseOwner: 'next', checkpointOwner: 'me' } }],
      is: 'changed',
      counter: 8,
      confirmedAt: 200,
    },
    {
      what: 'finds a handoff requested: no proof of anything newer',
      answers: [{ found: { leaseOwner: 'next', checkpointOwner: 'me' } }],
      is: 'changed',
      counter: 7,
      confirmedAt: 0,
    },
    {
      what: 'keeps the doubt about an attempt across a handoff request',
      answers: ['lost', { found: { leaseOwner: 'next', checkpointOwner: 'me' } }, 'lands'],
      is: 'landed',
      counter: 8,
      confirmedAt: 200,
    },
    {
      what: 'finds the counter moved without an attempt in doubt: nobody but the owner moves it, so it was another’s',
      answers: [{ found: { leaseCounter: 8 } }],
      is: 'refused',
      uncertain: false,
      counter: 7,
      confirmedAt: 0,
    },
    {
      what: 'certainly not written before is not in doubt',
      answers: ['throttled', { found: { leaseCounter: 8 } }],
      is: 'refused',
      uncertain: false,
      counter: 7,
      confirmedAt: 0,
    },
    {
      what: 'finds it ours two steps on: taken and come back, another generation',
      answers: ['lost', { found: { leaseCounter: 9 } }],
      is: 'refused',
      uncertain: true,
      counter: 7,
      confirmedAt: 0,
    },
    {
      what: 'finds a counter that went back',
      answers: ['lost', { found: { leaseCounter: 6 } }],
      is: 'refused',
      uncertain: true,
      counter: 7,
      confirmedAt: 0,
    },
    {
      what: 'finds another owner',
      answers: [{ found: { leaseCounter: 8, leaseOwner: 'thief' } }],
      is: 'refused',
      uncertain: false,
      counter: 7,
      confirmedAt: 0,
    },
    {
      what: 'finds another owner one step on, where an attempt of ours is in doubt',
      answers: ['lost', { found: { leaseCounter: 8, leaseOwner: 'thief' } }],
      is: 'refused',
      uncertain: true,
      counter: 7,
      confirmedAt: 0,
    },
    {
      what: 'finds the one before landed, and a handoff asked for by one of ours since',
      answers: ['lost', { found: { leaseCounter: 8, leaseOwner: 'next', checkpointOwner: 'me', nextOwner: 'next' } }],
      is: 'changed',
      counter: 8,
      confirmedAt: 200,
    },
    {
      what: 'finds it taken by KCL 2.x in the middle of a handoff, which leaves checkpointOwner as it was',
      answers: ['lost', { found: { leaseCounter: 8, leaseOwner: 'java', checkpointOwner: 'me', nextOwner: 'next' } }],
      is: 'refused',
      uncertain: true,
      counter: 7,
      confirmedAt: 0,
    },
    {
      what: 'finds itself the next owner of what another has',
      answers: [{ found: { checkpointOwner: 'thief' } }],
      is: 'refused',
      uncertain: false,
      counter: 7,
      confirmedAt: 0,
    },
    { what: 'finds no row', answers: [{ found: undefined }], is: 'refused', uncertain: false, counter: 7, confirmedAt: 0 },
    {
      what: 'finds no row, in doubt',
      answers: ['lost', { found: undefined }],
      is: 'refused',
      uncertain: true,
      counter: 7,
      confirmedAt: 0,
    },
  ],
)('a write that $what', async ({ answers, is, uncertain, counter, confirmedAt }) => {
  const clock = new ManualClock()
  const row = owned(clock, TAKEN)
  let outcome: WriteOutcome | undefined
  for (const answer of answers) {
    await clock.advanceAsync(200 - (clock.now() % 200))
    const attempt = row.attempt(LIMIT, async (seen): Promise<LeaseWrite> => {
      expect(seen).toBe(row.row)
      if (answer === 'lands') return { done: true, lease: { ...seen, leaseCounter: seen.leaseCounter + 1 } }
      if (answer === 'throttled') throw Object.assign(new Error('x'), { name: 'ProvisionedThroughputExceededException' })
      if (answer === 'lost') throw Object.assign(new Error('x'), { code: 'ECONNRESET' })
      if (answer === 'silent') return new Promise(() => {})
      return { done: false, lease: answer.found && { ...TAKEN, ...answer.found } }
    })
    if (answer === 'silent') await clock.advanceAsync(LIMIT)
    outcome = await attempt
  }
  expect(outcome).toMatchObject({ is, ...(uncertain !== undefined && { uncertain }) })
  expect(row.row.leaseCounter).toBe(counter)
  expect(row.confirmedAt).toBe(confirmedAt)
  expect(clock.pendingTimers).toBe(0)
})

test('trust is counted from when the write was sent, not from its answer', async () => {
  const clock = new ManualClock()
  const row = owned(clock, TAKEN)
  await clock.advanceAsync(500)
  const attempt = row.attempt(LIMIT, async (seen) => {
    clock.advance(90)
    return { done: true, lease: { ...seen, leaseCounter: 8 } }
  })
  await attempt
  await clock.advanceAsync(500 + 899 - clock.now())
  expect(row.isTrusted()).toBe(true)
  const before = momentOf(clock)
  await clock.advanceAsync(1)
  expect(row.isTrusted()).toBe(false)
  expect([row.isTrusted(before), row.isTrusted(momentOf(clock))]).toEqual([true, false])
})

type Step = 'ok' | 'lost' | 'unanswered' | 'late' | 'throttled' | 'deliver late' | 'ask' | 'withdraw' | 'steal'
const step = fc.constantFrom<Step>('ok', 'lost', 'unanswered', 'late', 'throttled', 'deliver late', 'ask', 'withdraw')

/** The network does what it likes, another worker asks and withdraws, and at last one may take the lease. */
test('property: it never believes in more than has landed, and calls it lost exactly when somebody took it', async () => {
  const check = async (steps: readonly Step[]): Promise<void> => {
    const clock = new ManualClock()
    const table = new MemoryLeaseStore()
    const network = new FaultyLeaseStore(table)
    await table.create({ leaseKey: 's1', checkpoint: TRIM_HORIZON, parentShardIds: [], range: undefined, startAt: undefined })
    const now = async (): Promise<Lease> => (await table.read('s1'))!
    const row = owned(clock, (await table.take(await now(), 'me')).lease!)
    let stolen = false
    let landedAt = 0
    let counter = row.row.leaseCounter
    for (const each of steps) {
      clock.advance(LIMIT)
      if (each === 'deliver late') await network.deliverLate()
      else if (each === 'ask') await table.requestHandoff(await now(), 'next')
      else if (each === 'withdraw') await table.withdrawHandoff({ ...(await now()), checkpointOwner: 'me' }, 'next')
      else if (each === 'steal') stolen = (await table.take(await now(), 'thief')).done
      else {
        if (each !== 'ok') network.next('renew', each)
        const attempt = row.attempt(LIMIT, (seen, signal) => network.store.renew(seen, 'me', {}, { signal }))
        await clock.advanceAsync(each === 'late' ? LIMIT : 0)
        const outcome = await attempt
        if (outcome.is !== 'failed') expect(outcome.is === 'refused').toBe(stolen)
        if (outcome.is === 'landed' || outcome.is === 'changed') expect(row.row).toEqual(await now())
      }
      const { leaseCounter } = await now()
      if (!stolen && leaseCounter > counter) landedAt = clock.now()
      counter = leaseCounter
      // Sent is before landed: a peer counts the failover time from the landing, we from the sending.
      expect(row.confirmedAt).toBeLessThanOrEqual(landedAt)
    }
  }
  const history = fc
    .tuple(fc.array(step, { maxLength: 12 }), fc.boolean(), fc.array(step, { maxLength: 4 }))
    .map(([before, steal, after]): Step[] => [...before, ...(steal ? (['steal'] as const) : []), ...after, 'ok'])
  await fc.assert(fc.asyncProperty(history, check), { numRuns: 300 })
})
