import { beforeEach, describe, expect, test } from 'vitest'
import { LATEST, SHARD_END, sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import { type Lease, leaseKeyOf, type NewLease } from './lease.js'
import type { LeaseStore, LeaseWrite } from './lease-store.js'

const SHARD_ID = 'shardId-000000000003'
const OF_A_SHARD = {
  checkpoint: LATEST,
  parentShardIds: ['shardId-000000000001', 'shardId-000000000002'],
  range: { start: 0n, end: 2n ** 128n - 1n },
  startAt: 1_767_225_600_000,
}

/** What every lease store does. `open` gives an empty, opened store. `stream`: of leases in a table of several streams. */
export function leaseStoreSuite(
  name: string,
  open: () => Promise<LeaseStore>,
  stream: Pick<Lease, 'streamId' | 'streamCreatedAt'> = { streamId: undefined, streamCreatedAt: undefined },
): void {
  const keyOf = (shardId: string): string => leaseKeyOf(stream.streamId, shardId)
  const KEY = keyOf(SHARD_ID)
  const NEW: NewLease = { leaseKey: KEY, ...stream, ...OF_A_SHARD }

  describe(`${name}: lease store`, () => {
    let store: LeaseStore

    beforeEach(async () => {
      store = await open()
    })

    async function created(): Promise<Lease> {
      await store.create(NEW)
      return (await store.read(KEY))!
    }

    async function taken(by = 'a'): Promise<Lease> {
      return landed(await store.take(await created(), by))
    }

    test('has nothing at first, and opens again', async () => {
      await store.open()
      expect(await store.list()).toEqual({ leases: [], malformed: [] })
      expect(await store.read(KEY)).toBe(undefined)
    })

    test('creates a lease without owner, once', async () => {
      expect(await store.create(NEW)).toBe(true)
      const row = await store.read(KEY)
      expect(row).toEqual({
        ...NEW,
        shardId: SHARD_ID,
        leaseOwner: undefined,
        checkpointOwner: undefined,
        shardwiseOwner: undefined,
        nextOwner: undefined,
        leaver: undefined,
        leaseCounter: 0,
        ownerSwitchesSinceCheckpoint: 0,
        pendingCheckpoint: undefined,
        childShardIds: [],
      })
      expect((await store.list({ consistent: true })).leases).toEqual([row])
    })

    test('create does not write over what another has done', async () => {
      const row = await taken()
      expect(await store.create({ ...NEW, checkpoint: TRIM_HORIZON })).toBe(false)
      expect(await store.read(KEY)).toEqual(row)
    })

    test('a lease without parents, range and time', async () => {
      await store.create({
        ...stream,
        leaseKey: keyOf('plain'),
        checkpoint: TRIM_HORIZON,
        parentShardIds: [],
        range: undefined,
        startAt: undefined,
      })
      expect(await store.read(keyOf('plain'))).toMatchObject({ parentShardIds: [], range: undefined, startAt: undefined })
    })

    describe('take', () => {
      test('of a free lease', async () => {
        expect(await taken()).toMatchObject({
          leaseOwner: 'a',
          shardwiseOwner: 'a',
          leaseCounter: 1,
          ownerSwitchesSinceCheckpoint: 0,
        })
      })

      test('from another counts as a switch of owner, from oneself not', async () => {
        const again = landed(await store.take(await taken(), 'a'))
        expect(again).toMatchObject({ leaseOwner: 'a', leaseCounter: 2, ownerSwitchesSinceCheckpoint: 0 })
        expect(landed(await store.take(again, 'b'))).toMatchObject({
          leaseOwner: 'b',
          shardwiseOwner: 'b',
          ownerSwitchesSinceCheckpoint: 1,
        })
      })

      test('two that saw the same row: one wins, the other sees the winner', async () => {
        const free = await created()
        const writes = await Promise.all(['a', 'b', 'c', 'd'].map((worker) => store.take(free, worker)))
        const winner = writes.find((write) => write.done)!
        expect(writes.filter((write) => write.done)).toHaveLength(1)
        for (const write of writes) expect(write.lease).toEqual(winner.lease)
      })

      test('fails when the owner renewed meanwhile', async () => {
        const seen = await taken()
        const renewed = landed(await store.renew(seen, 'a', {}))
        expect(await store.take(seen, 'b')).toEqual({ done: false, lease: renewed })
      })

      test('fails when a handoff was requested meanwhile, though the counter stands', async () => {
        const seen = await taken()
        const requested = landed(await store.requestHandoff(seen, 'c'))
        expect(requested.leaseCounter).toBe(seen.leaseCounter)
        expect(await store.take(seen, 'b')).toEqual({ done: false, lease: requested })
      })

      test('ends a handoff of which the owner died', async () => {
        const requested = landed(await store.requestHandoff(await taken(), 'c'))
        expect(landed(await store.take(requested, 'b'))).toMatchObject({
          leaseOwner: 'b',
          checkpointOwner: undefined,
          leaseCounter: 2,
        })
      })

      test('does not make a row', async () => {
        const seen = await created()
        expect(await store.take({ ...seen, leaseKey: 'gone' }, 'a')).toEqual({ done: false, lease: undefined })
        expect(await store.read('gone')).toBe(undefined)
      })
    })

    describe('renew', () => {
      test('moves the counter and nothing else', async () => {
        const row = await taken()
        expect(landed(await store.renew(row, 'a', {}))).toEqual({ ...row, leaseCounter: 2 })
      })

      test('carries a checkpoint, which resets the switches of owner', async () => {
        const row = landed(await store.take(await taken(), 'b'))
        const checkpoint = sequencePosition('49590338271490256608559692538361571095921575989136588898', 12)
        const after = landed(await store.renew(row, 'b', { checkpoint }))
        expect(after).toEqual({ ...row, leaseCounter: 3, checkpoint, ownerSwitchesSinceCheckpoint: 0 })
        expect(await store.read(KEY)).toEqual(after)
      })

      test('fails for who lost it, also with the counter of the new owner', async () => {
        const mine = await taken()
        const theirs = landed(await store.take(mine, 'b'))
        for (const seen of [mine, theirs]) {
          expect(await store.renew(seen, 'a', { checkpoint: SHARD_END })).toEqual({ done: false, lease: theirs })
        }
      })

      test('of a late packet fails: no checkpoint goes back', async () => {
        const row = await taken()
        const after = landed(await store.renew(row, 'a', { checkpoint: sequencePosition('120') }))
        expect(await store.renew(row, 'a', { checkpoint: sequencePosition('100') })).toEqual({ done: false, lease: after })
      })

      test('says that the owner leaves', async () => {
        const row = landed(await store.renew(await taken(), 'a', { leaving: true }))
        expect(row).toMatchObject({ leaseOwner: 'a', leaver: 'a', leaseCounter: 2 })
        expect(await store.read(KEY)).toEqual(row)
      })

      test('goes on for the actual owner during a handoff and shows it; the next owner may not', async () => {
        const row = await taken()
        await store.requestHandoff(row, 'b')
        const after = landed(await store.renew(row, 'a', {}))
        expect(after).toMatchObject({ leaseOwner: 'b', checkpointOwner: 'a', leaseCounter: 2 })
        expect((await store.renew(after, 'b', {})).done).toBe(false)
      })

      test('of a row that is gone does not make one', async () => {
        expect(await store.renew({ ...(await taken()), leaseKey: 'gone' }, 'a', {})).toEqual({ done: false, lease: undefined })
      })
    })

    describe('prepare and commit', () => {
      const pending = { position: sequencePosition('9', 12), state: new Uint8Array([0, 255, 7]) }

      test('prepared: position and state, exact, and the checkpoint stays', async () => {
        const row = await taken()
        const after = landed(await store.renew(row, 'a', { pending }))
        expect(after).toEqual({ ...row, leaseCounter: 2, pendingCheckpoint: pending })
        expect(await store.read(KEY)).toEqual(after)
        expect((await store.list({ consistent: true })).leases).toEqual([after])
      })

      test('a renewal without a word leaves it; another replaces all of it', async () => {
        const row = landed(await store.renew(await taken(), 'a', { pending }))
        const renewed = landed(await store.renew(row, 'a', {}))
        expect(renewed.pendingCheckpoint).toEqual(pending)
        const stateless = { position: sequencePosition('8'), state: undefined }
        expect(landed(await store.renew(renewed, 'a', { pending: stateless })).pendingCheckpoint).toEqual(stateless)
      })

      test('the next owner finds it, whichever way it gets the lease', async () => {
        const row = landed(await store.renew(await taken(), 'a', { pending }))
        const stolen = landed(await store.take(row, 'b'))
        expect(stolen).toMatchObject({ checkpoint: LATEST, pendingCheckpoint: pending })
        const requested = landed(await store.requestHandoff(stolen, 'c'))
        const given = landed(await store.handOver(requested, 'b', { to: 'c' }))
        expect(given).toMatchObject({ leaseOwner: 'c', pendingCheckpoint: pending })
      })

      test('a hand over carries it', async () => {
        const row = await taken()
        const checkpoint = sequencePosition('7')
        expect(landed(await store.handOver(row, 'a', { to: undefined, checkpoint, pending }))).toMatchObject({
          leaseOwner: undefined,
          checkpoint,
          pendingCheckpoint: pending,
        })
      })

      test('committed: the checkpoint moves and nothing is pending, in one write', async () => {
        const row = landed(await store.renew(await taken(), 'a', { pending }))
        const after = landed(await store.renew(row, 'a', { checkpoint: pending.position, pending: null }))
        expect(after).toMatchObject({ checkpoint: pending.position, pendingCheckpoint: undefined })
        expect(await store.read(KEY)).toEqual(after)
      })

      test('any checkpoint removes it, unless told to keep one; so does the end', async () => {
        const row = landed(await store.renew(await taken(), 'a', { pending }))
        const checkpoint = sequencePosition('5')
        const kept = landed(await store.renew(row, 'a', { checkpoint, pending }))
        expect(kept).toMatchObject({ checkpoint, pendingCheckpoint: pending })
        const later = landed(await store.renew(kept, 'a', { checkpoint: sequencePosition('6') }))
        expect(later.pendingCheckpoint).toBe(undefined)
        const again = landed(await store.renew(later, 'a', { pending }))
        expect(landed(await store.end(again, 'a', [])).pendingCheckpoint).toBe(undefined)
      })

      test('prepared by who lost it, or by a late packet: refused, and what stands there stays', async () => {
        const mine = await taken()
        const theirs = landed(await store.renew(landed(await store.take(mine, 'b')), 'b', { pending }))
        const other = { position: sequencePosition('99'), state: undefined }
        expect(await store.renew(mine, 'a', { pending: other })).toEqual({ done: false, lease: theirs })
        const committed = landed(await store.renew(theirs, 'b', { checkpoint: pending.position }))
        expect(await store.renew(theirs, 'b', { pending: other })).toEqual({ done: false, lease: committed })
      })
    })

    describe('hand over', () => {
      const checkpoint = sequencePosition('77')

      test('to nobody, with the last checkpoint', async () => {
        const row = landed(await store.handOver(await taken(), 'a', { to: undefined, checkpoint }))
        expect(row).toMatchObject({ leaseOwner: undefined, checkpointOwner: undefined, checkpoint, leaseCounter: 2 })
      })

      test('to the one that asked', async () => {
        const row = await taken()
        await store.requestHandoff(row, 'b')
        const after = landed(await store.handOver(row, 'a', { to: 'b', checkpoint }))
        expect(after).toMatchObject({
          leaseOwner: 'b',
          checkpointOwner: undefined,
          checkpoint,
          leaseCounter: 2,
          ownerSwitchesSinceCheckpoint: 1,
        })
        expect(landed(await store.take(after, 'b'))).toMatchObject({ leaseOwner: 'b', shardwiseOwner: 'b', leaseCounter: 3 })
      })

      test('to one that has not asked, which takes it; its leaver is known until then', async () => {
        const row = landed(await store.handOver(await taken(), 'a', { to: 'b', offer: true, leaving: true, checkpoint }))
        expect(row).toMatchObject({
          leaseOwner: 'b',
          checkpointOwner: undefined,
          shardwiseOwner: 'a',
          nextOwner: 'b',
          leaver: 'a',
          checkpoint,
          leaseCounter: 2,
          ownerSwitchesSinceCheckpoint: 1,
        })
        expect(await store.read(KEY)).toEqual(row)
        expect(landed(await store.take(row, 'b'))).toMatchObject({
          leaseOwner: 'b',
          shardwiseOwner: 'b',
          nextOwner: undefined,
          leaver: undefined,
          leaseCounter: 3,
        })
      })

      test('offered, and never taken up: anyone may take it, once', async () => {
        const row = landed(await store.handOver(await taken(), 'a', { to: 'gone', offer: true }))
        const writes = await Promise.all(['b', 'c'].map((worker) => store.take(row, worker)))
        expect(writes.filter((write) => write.done)).toHaveLength(1)
        expect(await store.take(row, 'gone')).toMatchObject({ done: false })
        expect((await store.read(KEY))!.nextOwner).toBe(undefined)
      })

      test('an offer that is not taken up can be made free, unless it was taken meanwhile', async () => {
        const row = landed(await store.handOver(await taken(), 'a', { to: 'b', offer: true, leaving: true }))
        const free = landed(await store.handOver(row, 'b', { to: undefined }))
        expect(free).toMatchObject({ leaseOwner: undefined, nextOwner: undefined, leaver: 'a', leaseCounter: 3 })
        expect((await store.take(row, 'b')).done).toBe(false)
        const again = landed(await store.handOver(landed(await store.take(free, 'a')), 'a', { to: 'b', offer: true }))
        const theirs = landed(await store.take(again, 'b'))
        expect(await store.handOver(again, 'b', { to: undefined })).toEqual({ done: false, lease: theirs })
      })

      test('to one that has not asked fails when another has asked, or it was lost', async () => {
        const row = await taken()
        const requested = landed(await store.requestHandoff(row, 'c'))
        expect(await store.handOver(row, 'a', { to: 'b', offer: true })).toEqual({ done: false, lease: requested })
        const theirs = landed(await store.take(requested, 'c'))
        expect(await store.handOver(row, 'a', { to: 'b', offer: true })).toEqual({ done: false, lease: theirs })
      })

      test('to nobody fails when somebody has asked', async () => {
        const row = await taken()
        const requested = landed(await store.requestHandoff(row, 'b'))
        expect(await store.handOver(row, 'a', { to: undefined, checkpoint })).toEqual({ done: false, lease: requested })
      })

      test('fails to one that has withdrawn, or did not ask', async () => {
        const row = await taken()
        const withdrawn = landed(await store.withdrawHandoff(landed(await store.requestHandoff(row, 'b')), 'b'))
        expect(withdrawn).toEqual(row)
        expect(await store.handOver(row, 'a', { to: 'b', checkpoint })).toEqual({ done: false, lease: row })
      })

      test('fails for who lost it', async () => {
        const mine = await taken()
        const theirs = landed(await store.take(mine, 'b'))
        expect(await store.handOver(mine, 'a', { to: undefined, checkpoint })).toEqual({ done: false, lease: theirs })
        expect(await store.handOver(theirs, 'a', { to: undefined, checkpoint })).toEqual({ done: false, lease: theirs })
      })
    })

    describe('end', () => {
      test('SHARD_END with the children and without owner', async () => {
        const row = landed(await store.end(await taken(), 'a', ['shardId-000000000004', 'shardId-000000000005']))
        expect(row).toMatchObject({ checkpoint: SHARD_END, leaseOwner: undefined, leaseCounter: 2 })
        expect([...row.childShardIds].sort()).toEqual(['shardId-000000000004', 'shardId-000000000005'])
      })

      test('without children, in the middle of a handoff', async () => {
        const row = await taken()
        await store.requestHandoff(row, 'b')
        expect(landed(await store.end(row, 'a', []))).toMatchObject({
          checkpoint: SHARD_END,
          leaseOwner: undefined,
          checkpointOwner: undefined,
        })
      })

      test('fails for who lost it', async () => {
        const mine = await taken()
        const theirs = landed(await store.take(mine, 'b'))
        expect(await store.end(mine, 'a', [])).toEqual({ done: false, lease: theirs })
      })
    })

    describe('fill in the range', () => {
      const range = { start: 5n, end: 9n }

      test('where there is none: counter and owner stay, and the owner goes on renewing', async () => {
        await store.create({ ...NEW, range: undefined })
        const row = landed(await store.take((await store.read(KEY))!, 'a'))
        expect(landed(await store.fillRange(row, range))).toEqual({ ...row, range })
        expect(landed(await store.renew(row, 'a', {}))).toEqual({ ...row, range, leaseCounter: 2 })
      })

      test('not over one that is there', async () => {
        const row = await taken()
        expect(await store.fillRange(row, range)).toEqual({ done: false, lease: row })
      })

      test('KCL scenario 13: of a row that was deleted meanwhile does not make a malformed one', async () => {
        await store.create({ ...NEW, range: undefined })
        const row = (await store.read(KEY))!
        expect(await store.delete(row)).toEqual({ done: true })
        expect(await store.fillRange(row, range)).toEqual({ done: false, lease: undefined })
        expect(await store.read(KEY)).toBe(undefined)
      })
    })

    describe('replace', () => {
      const ANEW: NewLease = { ...NEW, checkpoint: TRIM_HORIZON, parentShardIds: [], range: undefined, startAt: undefined }

      test('leaves nothing of the row but its counter, moved by one', async () => {
        const row = landed(await store.renew(await taken(), 'a', { checkpoint: sequencePosition('7') }))
        const replaced = landed(await store.replace(row, ANEW))
        expect(replaced).toMatchObject({ checkpoint: TRIM_HORIZON, leaseCounter: row.leaseCounter + 1, parentShardIds: [] })
        expect(replaced).toMatchObject({ leaseOwner: undefined, shardwiseOwner: undefined, range: undefined, startAt: undefined })
        expect(await store.read(KEY)).toEqual(replaced)
        expect(await store.renew(row, 'a', {})).toEqual({ done: false, lease: replaced })
      })

      test('fails when somebody has written meanwhile, and on a row that is gone', async () => {
        const seen = await created()
        const row = landed(await store.take(seen, 'a'))
        expect(await store.replace(seen, ANEW)).toEqual({ done: false, lease: row })
        const requested = landed(await store.requestHandoff(row, 'b'))
        expect(await store.replace(row, ANEW)).toEqual({ done: false, lease: requested })
        expect(await store.read(KEY)).toEqual(requested)
        await store.delete(requested)
        expect(await store.replace(requested, ANEW)).toEqual({ done: false, lease: undefined })
        expect(await store.read(KEY)).toBe(undefined)
      })
    })

    describe('delete', () => {
      test('of a finished lease, once', async () => {
        const row = landed(await store.end(await taken(), 'a', []))
        const deletions = await Promise.all([store.delete(row), store.delete(row), store.delete(row)])
        expect(deletions.filter(({ done }) => done)).toHaveLength(1)
        expect(deletions.filter(({ done }) => !done)).toEqual([1, 2].map(() => ({ done: false, lease: undefined })))
        expect(await store.list({ consistent: true })).toEqual({ leases: [], malformed: [] })
      })

      test('fails when somebody has taken it, renewed it, or asked for it meanwhile', async () => {
        const seen = await created()
        const row = landed(await store.take(seen, 'a'))
        expect(await store.delete(seen)).toEqual({ done: false, lease: row })
        const renewed = landed(await store.renew(row, 'a', {}))
        expect(await store.delete(row)).toEqual({ done: false, lease: renewed })
        const requested = landed(await store.requestHandoff(renewed, 'b'))
        expect(await store.delete(renewed)).toEqual({ done: false, lease: requested })
        expect(await store.read(KEY)).toEqual(requested)
      })

      test('arriving late fails on a row that was made anew', async () => {
        const row = landed(await store.end(await taken(), 'a', []))
        await store.delete(row)
        const anew = await created()
        expect(await store.delete(row)).toEqual({ done: false, lease: anew })
        expect(await store.delete({ ...row, leaseCounter: 0 })).toEqual({ done: false, lease: anew })
      })

      test('KCL scenario 13: no write of anybody makes the row again, except create', async () => {
        const mine = await taken()
        const given = landed(await store.requestHandoff(mine, 'b'))
        await store.delete(given)
        const nothing = { done: false, lease: undefined }
        expect(await store.take(given, 'b')).toEqual(nothing)
        expect(await store.renew(mine, 'a', { checkpoint: sequencePosition('7') })).toEqual(nothing)
        expect(await store.handOver(mine, 'a', { to: 'b' })).toEqual(nothing)
        expect(await store.handOver(mine, 'a', { to: undefined })).toEqual(nothing)
        expect(await store.end(mine, 'a', [])).toEqual(nothing)
        expect(await store.requestHandoff(mine, 'b')).toEqual(nothing)
        expect(await store.withdrawHandoff(given, 'b')).toEqual(nothing)
        expect(await store.delete(given)).toEqual(nothing)
        expect(await store.list({ consistent: true })).toEqual({ leases: [], malformed: [] })
        expect(await store.create(NEW)).toBe(true)
      })
    })

    describe('request a handoff', () => {
      test('shows the current and the next owner', async () => {
        expect(landed(await store.requestHandoff(await taken(), 'b'))).toMatchObject({
          leaseOwner: 'b',
          checkpointOwner: 'a',
          nextOwner: 'b',
          leaseCounter: 1,
        })
      })

      test('two ask: one wins', async () => {
        const row = await taken()
        const writes = await Promise.all(['b', 'c'].map((worker) => store.requestHandoff(row, worker)))
        expect(writes.filter((write) => write.done)).toHaveLength(1)
      })

      test('fails when the owner gave it up, lost it, or came to the end', async () => {
        const row = await taken()
        await store.handOver(row, 'a', { to: undefined })
        expect((await store.requestHandoff(row, 'c')).done).toBe(false)
        const next = landed(await store.take((await store.read(KEY))!, 'b'))
        expect((await store.requestHandoff(row, 'c')).done).toBe(false)
        await store.end(next, 'b', [])
        expect((await store.requestHandoff(next, 'c')).done).toBe(false)
      })

      test('withdrawn: only while it is pending', async () => {
        const row = await taken()
        const requested = landed(await store.requestHandoff(row, 'b'))
        const given = landed(await store.handOver(row, 'a', { to: 'b' }))
        expect(await store.withdrawHandoff(requested, 'b')).toEqual({ done: false, lease: given })
      })
    })
  })
}

function landed(write: LeaseWrite): Lease {
  if (!write.done)
    throw new Error(
      `The condition did not hold; the row is ${JSON.stringify(write.lease, (_, value) => (typeof value === 'bigint' ? `${value}` : value))}`,
    )
  return write.lease
}
