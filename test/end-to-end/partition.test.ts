import { describe, expect, it } from 'vitest'
import { Fleet, KEYS } from './fleet.js'
import type { LogEntry } from './fleet-log.js'

/** Long enough that a starved machine is not taken for a dead worker. */
const FAILOVER_MS = 5000
const SHARDS = 4

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
})
