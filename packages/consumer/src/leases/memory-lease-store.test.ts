import { leaseStoreSuite } from './lease-store.suite.js'
import { MemoryLeaseStore } from './memory-lease-store.js'

leaseStoreSuite('memory', async () => new MemoryLeaseStore())
leaseStoreSuite('memory, several streams', async () => new MemoryLeaseStore(), {
  streamId: '123456789012:flights:1763718000',
  streamCreatedAt: 5,
})
