import type { ObservedCall } from '@shardwise/local'
import { expect, it } from 'vitest'
import { Fleet, KEYS } from './fleet.js'

const SHARDS = 4
const HOUR_MS = 3_600_000

it('wall clocks that jump by an hour, forward and back, each worker another way: no lease is lost, nothing is lost or repeated', async () => {
  await using fleet = await Fleet.start(SHARDS)
  const { log } = fleet
  const [one, two] = [await fleet.join('one'), await fleet.join('two')]
  await fleet.shared(SHARDS, 'one', 'two')
  fleet.load()
  await fleet.delivered(5)
  const began = log.entries.length
  for (const [first, second] of [
    [HOUR_MS, -HOUR_MS],
    [-HOUR_MS, HOUR_MS],
    [1_500, 24 * HOUR_MS],
    [-24 * HOUR_MS, -1_500],
  ] as const) {
    one.jumpWallClock(first)
    two.jumpWallClock(second)
    // What is put from now on has been handled by workers that saw the jump, and their leases have been renewed since.
    await fleet.delivered(fleet.rounds + 10)
  }
  await fleet.quiet()
  await Promise.all([one.stop(), two.stop()])
  expect(log.faults(KEYS, fleet.rounds)).toEqual([])
  expect(log.repeats()).toEqual([])
  for (const type of ['lease-lost', 'lease-taken', 'shard-failed']) expect(log.events(type, began)).toEqual([])
})

it('a machine that was suspended, whose monotonic clock stood still: what is in hand goes no further, and the table is asked first', async () => {
  await using fleet = await Fleet.start(1, { failoverTimeMs: 3000 })
  const { log, harness } = fleet
  const one = await fleet.join('one', { suspends: true })
  await fleet.shared(1, 'one')
  const two = await fleet.join('two')
  await log.until('the peer to run', () => log.events('consumer-started').length === 2)
  // One handler call is under way, and what follows has been read.
  one.withholds = true
  await fleet.put()
  await log.until('the call', () => log.delivered === KEYS.length)
  const read = new Promise<void>((resolve) => {
    const observe = ({ outcome }: ObservedCall): void => {
      if (outcome.kind === 'answered' && (outcome.output as { Records: unknown[] }).Records.length > 0) resolve()
    }
    harness.local.faults.on('GetRecords', { observe, times: Number.POSITIVE_INFINITY })
  })
  await fleet.put()
  await read
  one.signal('SIGSTOP')
  await log.until('the peer to take over', () => log.held('two').length === 1)
  await fleet.delivered(2)
  const before = (await fleet.leases()).get('shardId-000000000000')!
  const woken = log.entries.length
  one.confirm()
  one.signal('SIGCONT')
  await log.until('the loss to be known', () => log.events('lease-lost', woken).length === 1)
  await fleet.put()
  await fleet.delivered(3)
  expect(log.entries.slice(woken).filter((entry) => entry.by === 'one' && entry.type === 'called')).toEqual([])
  const { owner, sequenceNumber } = (await fleet.leases()).get('shardId-000000000000')!
  expect(owner).toBe('two')
  expect(BigInt(sequenceNumber ?? 0)).toBeGreaterThanOrEqual(BigInt(before.sequenceNumber ?? 0))
  await Promise.all([one.stop(), two.stop()])
  expect(log.faults(KEYS, fleet.rounds)).toEqual([])
  // The call that was under way.
  expect(log.repeats().map(({ text }) => text)).toEqual(KEYS.map((key) => `${key}:0`))
})
