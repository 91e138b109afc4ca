import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SHARD_END, sequencePosition } from '../checkpoints/position.js'
import type { Lease } from './lease.js'
import {
  endChange,
  handOverChange,
  type LeaseChange,
  renewChange,
  requestHandoffChange,
  takeChange,
  withdrawHandoffChange,
} from './lease-writes.js'
import { aLease } from './testing/lease-rows.js'

const at = sequencePosition('77')
const PREPARED = { position: sequencePosition('99', 4), state: new Uint8Array([1, 2]) }
const free = aLease('s1', { leaseCounter: 7, ownerSwitchesSinceCheckpoint: 2 })
const mine = aLease('s1', { ...free, leaseOwner: 'me', shardwiseOwner: 'me' })
const theirs = aLease('s1', { ...free, leaseOwner: 'them', shardwiseOwner: 'them' })
/** `them` has it, `me` has asked for it. */
const asked = aLease('s1', { ...free, leaseOwner: 'me', checkpointOwner: 'them', shardwiseOwner: 'them' })

/** The table "The writes" of docs/lease-protocol.md. */
describe('the writes', () => {
  test.each<[string, LeaseChange, Pick<LeaseChange, 'where' | 'set'>]>([
    [
      'take of a free lease',
      takeChange(free, 'me'),
      {
        where: { leaseCounter: 7, leaseOwner: undefined, checkpointOwner: undefined },
        set: {
          leaseOwner: 'me',
          shardwiseOwner: 'me',
          checkpointOwner: undefined,
          nextOwner: undefined,
          leaver: undefined,
          leaseCounter: 8,
        },
      },
    ],
    [
      'take of an expired lease in a handoff: both owners as seen',
      takeChange(asked, 'third'),
      {
        where: { leaseCounter: 7, leaseOwner: 'me', checkpointOwner: 'them' },
        set: {
          leaseOwner: 'third',
          shardwiseOwner: 'third',
          checkpointOwner: undefined,
          nextOwner: undefined,
          leaver: undefined,
          leaseCounter: 8,
          ownerSwitchesSinceCheckpoint: 3,
        },
      },
    ],
    ['renew', renewChange(mine, 'me', {}), { where: { leaseCounter: 7, actualOwner: 'me' }, set: { leaseCounter: 8 } }],
    [
      'renew with a checkpoint',
      renewChange(mine, 'me', { checkpoint: at }),
      {
        where: { leaseCounter: 7, actualOwner: 'me' },
        set: { leaseCounter: 8, checkpoint: at, pendingCheckpoint: undefined, ownerSwitchesSinceCheckpoint: 0 },
      },
    ],
    [
      'prepare: a renewal that leaves the checkpoint, and its count of owners',
      renewChange(mine, 'me', { pending: PREPARED }),
      { where: { leaseCounter: 7, actualOwner: 'me' }, set: { leaseCounter: 8, pendingCheckpoint: PREPARED } },
    ],
    [
      'discard what is prepared',
      renewChange(mine, 'me', { pending: null }),
      { where: { leaseCounter: 7, actualOwner: 'me' }, set: { leaseCounter: 8, pendingCheckpoint: undefined } },
    ],
    [
      'commit before a later one that was prepared',
      renewChange(mine, 'me', { checkpoint: at, pending: PREPARED }),
      {
        where: { leaseCounter: 7, actualOwner: 'me' },
        set: { leaseCounter: 8, checkpoint: at, pendingCheckpoint: PREPARED, ownerSwitchesSinceCheckpoint: 0 },
      },
    ],
    [
      'hand over with what is prepared',
      handOverChange(mine, 'me', { to: undefined, pending: PREPARED }),
      {
        where: { leaseCounter: 7, leaseOwner: 'me', checkpointOwner: undefined },
        set: {
          ...{ leaseOwner: undefined, checkpointOwner: undefined, leaseCounter: 8, ownerSwitchesSinceCheckpoint: 2 },
          pendingCheckpoint: PREPARED,
          nextOwner: undefined,
        },
      },
    ],
    [
      'hand over to nobody: none is pending',
      handOverChange(mine, 'me', { to: undefined }),
      {
        where: { leaseCounter: 7, leaseOwner: 'me', checkpointOwner: undefined },
        set: {
          leaseOwner: undefined,
          checkpointOwner: undefined,
          leaseCounter: 8,
          ownerSwitchesSinceCheckpoint: 2,
          nextOwner: undefined,
        },
      },
    ],
    [
      'hand over to one that has not asked: none is pending',
      handOverChange(mine, 'me', { to: 'them', offer: true, leaving: true }),
      {
        where: { leaseCounter: 7, leaseOwner: 'me', checkpointOwner: undefined },
        set: {
          leaseOwner: 'them',
          checkpointOwner: undefined,
          leaseCounter: 8,
          ownerSwitchesSinceCheckpoint: 3,
          nextOwner: 'them',
          leaver: 'me',
        },
      },
    ],
    [
      'hand over to the next: that one is pending',
      handOverChange(asked, 'them', { to: 'me', checkpoint: at }),
      {
        where: { leaseCounter: 7, leaseOwner: 'me', checkpointOwner: 'them' },
        set: {
          ...{ leaseOwner: 'me', checkpointOwner: undefined, leaseCounter: 8 },
          ...{ ownerSwitchesSinceCheckpoint: 1, checkpoint: at, pendingCheckpoint: undefined },
        },
      },
    ],
    [
      'renew, leaving',
      renewChange(mine, 'me', { leaving: true }),
      { where: { leaseCounter: 7, actualOwner: 'me' }, set: { leaseCounter: 8, leaver: 'me' } },
    ],
    [
      'end',
      endChange(mine, 'me', ['s2', 's3']),
      {
        where: { leaseCounter: 7, actualOwner: 'me' },
        set: {
          leaseOwner: undefined,
          checkpointOwner: undefined,
          leaseCounter: 8,
          ownerSwitchesSinceCheckpoint: 0,
          checkpoint: SHARD_END,
          pendingCheckpoint: undefined,
          childShardIds: ['s2', 's3'],
          nextOwner: undefined,
          leaver: undefined,
        },
      },
    ],
    [
      'request a handoff',
      requestHandoffChange(theirs, 'me'),
      {
        where: { leaseOwner: 'them', checkpointOwner: undefined, shardwiseOwner: 'them', ended: false },
        set: { leaseOwner: 'me', checkpointOwner: 'them', nextOwner: 'me' },
      },
    ],
    [
      'withdraw it',
      withdrawHandoffChange(asked, 'me'),
      {
        where: { leaseOwner: 'me', checkpointOwner: 'them' },
        set: { leaseOwner: 'them', checkpointOwner: undefined, nextOwner: undefined },
      },
    ],
  ])('%s', (_name, change, expected) => {
    // A key that is undefined says "absent" or "removed", one that is missing says nothing.
    expect(change).toStrictEqual({ leaseKey: 's1', ...expected })
  })
})

describe('KCL’s count of owner switches', () => {
  const take = (lease: Lease): number =>
    takeChange(lease, 'me').set.ownerSwitchesSinceCheckpoint ?? lease.ownerSwitchesSinceCheckpoint
  const handOver = (last: Parameters<typeof handOverChange>[2]): number | undefined =>
    handOverChange(asked, 'them', last).set.ownerSwitchesSinceCheckpoint
  test.each([
    ['taken when free', take(free), 2],
    ['taken again by its owner', take(mine), 2],
    ['taken from another', take(theirs), 3],
    ['taken from a dead owner by the one that had asked', take(asked), 2],
    ['taken back by the owner, who had been asked', take({ ...asked, leaseOwner: 'them', checkpointOwner: 'me' }), 3],
    ['handed over without a checkpoint', handOver({ to: 'me' }), 3],
    ['handed over with one', handOver({ to: 'me', checkpoint: at }), 1],
    ['given up without a checkpoint', handOver({ to: undefined }), 2],
    ['given up with one', handOver({ to: undefined, checkpoint: at }), 0],
  ])('%s', (_name, count, expected) => {
    expect(count).toBe(expected)
  })
})

const worker = fc.constantFrom('me', 'them', 'third')
const anyLease = fc
  .record({
    leaseOwner: fc.option(worker, { nil: undefined }),
    checkpointOwner: fc.option(worker, { nil: undefined }),
    leaseCounter: fc.nat(),
    ownerSwitchesSinceCheckpoint: fc.nat(9),
  })
  .map((changes) => aLease('s1', changes))

test('property: what moves the counter moves it by one, from the one that was seen, and never without looking at the owner', () => {
  fc.assert(
    fc.property(anyLease, worker, fc.option(worker, { nil: undefined }), (lease, me, to) => {
      const changes = [
        takeChange(lease, me),
        renewChange(lease, me, { checkpoint: at }),
        handOverChange(lease, me, { to, checkpoint: at }),
        handOverChange(lease, me, { to, offer: true, leaving: true }),
        endChange(lease, me, []),
      ]
      for (const { where, set } of changes) {
        expect(where.leaseCounter).toBe(lease.leaseCounter)
        expect(set.leaseCounter).toBe(lease.leaseCounter + 1)
        expect('actualOwner' in where || ('leaseOwner' in where && 'checkpointOwner' in where)).toBe(true)
      }
    }),
  )
})
