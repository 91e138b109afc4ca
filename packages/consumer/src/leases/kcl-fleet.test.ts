import { ManualClock, sleep } from '@shardwise/core/clock'
import { expect, test } from 'vitest'
import { KclFleet } from './kcl-fleet.js'
import type { KclTables } from './kcl-tables.js'
import type { Lease } from './lease.js'
import { aLease } from './testing/lease-rows.js'

test('thousands of leases assigned at once are read within the time limit of a scan, each row once', async () => {
  const clock = new ManualClock()
  const keys = Array.from({ length: 4_000 }, (_, i) => `s${i}`)
  const read: string[] = []
  const fleet = new KclFleet({
    tables: { assignedKeys: async () => keys } as unknown as KclTables,
    store: {
      list: async () => ({ leases: [], malformed: [] }),
      read: async (leaseKey): Promise<Lease> => {
        read.push(leaseKey)
        await sleep(clock, 10)
        return aLease(leaseKey, { leaseOwner: 'me', parentShardIds: leaseKey.startsWith('p') ? [] : ['p1', 'p2'] })
      },
    },
    workerId: 'me',
    failoverTimeMs: 10_000,
    clock,
    random: () => 0.5,
    emit: () => {},
  })
  let found: readonly Lease[] = []
  void fleet.assigned(new Set(['s0']), new AbortController().signal).then(({ leases }) => {
    found = leases
  })
  for (let i = 0; i < 100; i++) await clock.advanceAsync(100)
  expect(found).toHaveLength(4_001)
  expect(new Set(read).size).toBe(read.length)
})
