import { systemClock } from '@shardwise/core/clock'
import { describe, expect, it } from 'vitest'
import { Fleet, KEYS } from './fleet.js'
import type { LogEntry } from './fleet-log.js'

/** Long enough that a starved machine is not taken for a dead worker. */
const FAILOVER_MS = 5000
const SHARDS = 4
/** How long DynamoDB stays out of reach, beyond the time in which every lease comes in doubt. */
const OUTAGE_MS = Number(process.env.SHARDWISE_OUTAGE_MS ?? FAILOVER_MS)

describe('KCL scenario 10: no answer of DynamoDB for longer than the failover time', () => {
  it('one worker is cut off: it stops before its peer takes over, lands nothing late, and only what was after its checkpoint is repeated', async () => {
    await using fleet = await Fleet.start(SHARDS, { failoverTimeMs: FAILOVER_MS })
    const { log } = fleet
    const [one, two] = [await fleet.join('one'), await fleet.join('two')]
    await fleet.shared(SHARDS, 'one', 'two')
    fleet.load()
    await fleet.delivered(10)
    const shards = log.held('one')
    one.link.silence()
    const cut = log.entries.length
    await log.until('the peer to take over', () => shards.every((shardId) => log.held('two').includes(shardId)))

    const resumedAt = new Map<string, bigint>()
    for (const shardId of shards) {
      const at = (by: string, is: (entry: LogEntry) => boolean): number[] =>
        log.entries.flatMap((entry, i) => {
          const here = i >= cut && entry.by === by && 'shardId' in entry && entry.shardId === shardId
          return here && is(entry) ? i : []
        })
      const [taken] = at('two', (entry) => entry.type === 'event' && entry.event === 'lease-taken')
      const calls = at('one', ({ type }) => type === 'called')
      expect(calls.length, `calls of ${shardId} after the cut`).toBeGreaterThan(0)
      expect(Math.max(...calls), `the last call of ${shardId}, before it is taken`).toBeLessThan(taken!)
      const { resumeFrom } = JSON.parse((log.entries[taken!] as { detail: string }).detail)
      resumedAt.set(shardId, BigInt(resumeFrom.sequenceNumber ?? 0))
    }
    const rows = await fleet.leases()
    await fleet.delivered(fleet.rounds)
    const back = log.entries.length
    // Its renewals arrive now, together and late.
    one.link.speak()
    await log.until('the loss to be known', () => log.events('lease-lost', back).length === shards.length)
    for (const [shardId, { sequenceNumber }] of await fleet.leases())
      expect(BigInt(sequenceNumber ?? 0), shardId).toBeGreaterThanOrEqual(BigInt(rows.get(shardId)?.sequenceNumber ?? 0))
    await fleet.shared(SHARDS, 'one', 'two')
    await fleet.delivered(fleet.rounds + 3)
    await fleet.quiet()
    await Promise.all([one.stop(), two.stop()])

    expect(log.faults(KEYS, fleet.rounds)).toEqual([])
    // Twice comes only what the one had handled in the last of its trust, after the checkpoint at which the other began.
    for (const { text, position, by } of log.repeats()) {
      const [, shardId, sequenceNumber] = position.split('/')
      expect(by, `${text} (${position})`).toEqual(['one', 'two'])
      expect(BigInt(sequenceNumber!), `${text} (${position})`).toBeGreaterThan(resumedAt.get(shardId!)!)
    }
  })

  it(`all workers are cut off for ${OUTAGE_MS} ms more: nobody handles in doubt, nobody raids its peers afterwards, nothing is lost or repeated`, async () => {
    await using fleet = await Fleet.start(SHARDS, { failoverTimeMs: FAILOVER_MS })
    const { log } = fleet
    const workers = await Promise.all(['one', 'two', 'three'].map((name) => fleet.join(name)))
    const names = workers.map(({ name }) => name)
    await fleet.shared(SHARDS, ...names)
    fleet.load()
    await fleet.delivered(10)
    const before = names.map((name) => log.held(name))
    const began = log.entries.length
    for (const { link } of workers) link.silence()
    // A lease may have been in doubt, and out of it again, just before: each counts once.
    const inDoubt = (): Set<string | undefined> => new Set(log.events('lease-in-doubt', began).map(({ shardId }) => shardId))
    await log.until('every lease to be in doubt', () => inDoubt().size === SHARDS)
    const doubt = { at: systemClock.now(), entries: log.entries.length }
    const lasts = { patienceMs: OUTAGE_MS + 45_000 }
    await log.until('the outage to last', () => systemClock.now() - doubt.at > OUTAGE_MS, lasts)
    expect(
      log.entries.slice(doubt.entries).filter(({ type }) => type === 'called'),
      log.shown(),
    ).toEqual([])

    // The load waits for those who are in doubt, and the first to come back may have handled all that there is.
    await fleet.put()
    const rounds = fleet.rounds
    const back = log.entries.length
    // The first to come back sees nobody renew.
    const [first, ...others] = workers
    first!.link.speak()
    await log.until('the first to go on', () => log.entries.slice(back).some(({ type, by }) => type === 'called' && by === 'one'))
    for (const { link } of others) link.speak()
    await fleet.delivered(rounds + 5)
    await log.until(
      'leases to be renewed beyond the time of a raid',
      () => systemClock.now() - log.entries[back]!.at > FAILOVER_MS * 1.5,
    )
    expect(log.events('lease-taken', began), log.shown()).toEqual([])
    expect(log.events('lease-lost', began), log.shown()).toEqual([])
    expect(names.map((name) => log.held(name))).toEqual(before)
    await fleet.quiet()
    await Promise.all(workers.map((worker) => worker.stop()))
    expect(log.faults(KEYS, fleet.rounds)).toEqual([])
    expect(log.repeats()).toEqual([])
  })
})
