import { expect, it } from 'vitest'
import { Fleet, KEYS } from './fleet.js'
import { RETRIEVALS } from './retrievals.js'

const SHARDS = 6

it.each(RETRIEVALS)(
  '%s: a rolling deploy under load, old workers going before or after the new ones come: nothing is lost, order is kept, nothing is delivered twice',
  async (_, options) => {
    await using fleet = await Fleet.start(SHARDS, options)
    const { log } = fleet
    let workers = await Promise.all(['old-1', 'old-2', 'old-3'].map((name) => fleet.join(name)))
    await fleet.shared(SHARDS, ...workers.map(({ name }) => name))
    fleet.load()
    for (const n of [1, 2, 3]) {
      const [old, ...others] = workers
      const newFirst = n !== 2
      await fleet.delivered(fleet.rounds + 2)
      if (!newFirst) await old!.stop()
      workers = [...others, await fleet.join(`new-${n}`)]
      if (newFirst) {
        await log.until(`new-${n} to read`, () => log.held(`new-${n}`).length > 0)
        await old!.stop()
      }
      await fleet.shared(SHARDS, ...workers.map(({ name }) => name))
    }
    await fleet.delivered(fleet.rounds + 2)
    await fleet.quiet()
    await Promise.all(workers.map((worker) => worker.stop()))
    expect(log.faults(KEYS, fleet.rounds)).toEqual([])
    expect(log.events('lease-lost')).toEqual([])
    expect(log.repeats(), log.shown()).toEqual([])
    for (const { owner } of (await fleet.leases()).values()) expect(owner).toBeUndefined()
  },
)
