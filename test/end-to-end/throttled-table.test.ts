import { systemClock } from '@shardwise/core/clock'
import { seededRandom } from '@shardwise/core/random'
import { expect, it } from 'vitest'
import { Fleet, KEYS } from './fleet.js'

/** Long enough that a starved machine is not taken for a dead worker. */
const FAILOVER_MS = 6000
const SHARDS = 4
const SEED = Number(process.env.SHARDWISE_SEED ?? 1)
const REFUSAL = {
  fail: { code: 'ProvisionedThroughputExceededException', message: 'The level of configured throughput was exceeded' },
}
const ALWAYS = { times: Number.POSITIVE_INFINITY }

it(`a lease table that refuses most calls, then all for longer than the failover time: it is announced, nothing is lost or repeated (seed ${SEED})`, async () => {
  await using fleet = await Fleet.start(SHARDS, { failoverTimeMs: FAILOVER_MS, leaseTableOptions: { billing: {} } })
  const { log } = fleet
  const workers = await Promise.all(['one', 'two'].map((name) => fleet.join(name)))
  await fleet.shared(SHARDS, 'one', 'two')
  fleet.load()
  await fleet.delivered(5)
  const began = log.entries.length
  const random = seededRandom(SEED)
  const { faults } = fleet.harness.local
  const most = ['UpdateItem', 'Scan', 'GetItem'].map((operation) =>
    faults.on(operation, { ...REFUSAL, ...ALWAYS, when: () => random() < 0.6 }),
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
