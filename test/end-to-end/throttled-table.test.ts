import { systemClock } from '@shardwise/core/clock'
import { expect, it } from 'vitest'
import { Fleet, KEYS } from './fleet.js'

/** Long enough that a starved machine is not taken for a dead worker. */
const FAILOVER_MS = 10_000
const SHARDS = 4
const REFUSAL = {
  fail: { code: 'ProvisionedThroughputExceededException', message: 'The level of configured throughput was exceeded' },
}
const ALWAYS = { times: Number.POSITIVE_INFINITY }

/** Two of three calls about each row, and of three scans: drawn at random, all writes of a lease would be refused for its failover time now and then. */
function twoOfThree(): (input: Readonly<Record<string, unknown>>) => boolean {
  const calls = new Map<string, number>()
  return ({ Key }) => {
    const row = JSON.stringify(Key ?? 'scan')
    const call = (calls.get(row) ?? 0) + 1
    calls.set(row, call)
    return call % 3 !== 0
  }
}

it('a lease table that refuses most calls, then all for longer than the failover time: it is announced, nothing is lost or repeated', async () => {
  await using fleet = await Fleet.start(SHARDS, { failoverTimeMs: FAILOVER_MS, leaseTableOptions: { billing: {} } })
  const { log } = fleet
  const workers = await Promise.all(['one', 'two'].map((name) => fleet.join(name)))
  await fleet.shared(SHARDS, 'one', 'two')
  fleet.load()
  await fleet.delivered(5)
  const began = log.entries.length
  const { faults } = fleet.harness.local
  const most = ['UpdateItem', 'Scan', 'GetItem'].map((operation) =>
    faults.on(operation, { ...REFUSAL, ...ALWAYS, when: twoOfThree() }),
  )
  const since = systemClock.now()
  await log.until('two failover times', () => systemClock.now() - since > FAILOVER_MS * 2)
  for (const fault of most) fault.remove()
  const handled = fleet.rounds
  await fleet.delivered(handled)

  const all = ['UpdateItem', 'Scan', 'GetItem'].map((operation) => faults.on(operation, { ...REFUSAL, ...ALWAYS }))
  const throttled = log.entries.length
  await log.until('every lease to be in doubt', () => log.events('lease-in-doubt', throttled).length === SHARDS)
  for (const fault of all) fault.remove()
  await fleet.delivered(fleet.rounds + 3)
  await fleet.quiet()
  await Promise.all(workers.map((worker) => worker.stop()))

  expect(log.faults(KEYS, fleet.rounds)).toEqual([])
  expect(log.repeats()).toEqual([])
  expect(log.events('lease-lost', began)).toEqual([])
  expect(log.events('lease-taken', began)).toEqual([])
  for (const name of ['one', 'two']) {
    const said = log.events('lease-table-throttled', began).filter(({ by }) => by === name)
    const told = said.map(({ detail }) => JSON.parse(detail!) as { table: string; operation: string; advice: string })
    expect(told).toContainEqual(
      expect.objectContaining({
        table: 'delays',
        operation: 'UpdateItem',
        advice: expect.stringContaining(
          'Raise the provisioned write capacity units of table delays (now 10), or change it to on-demand',
        ),
      }),
    )
    // Not one for each refused call.
    expect(said.length).toBeLessThan(log.events('lease-store-failed', began).filter(({ by }) => by === name).length)
  }
})
