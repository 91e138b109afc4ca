// The models that the lease simulation has: a third copy would be one more that may be wrong.
// biome-ignore lint/style/noRestrictedImports: test code of the consumer, which no package exports
export { JavaAssignedWorker } from '../../packages/consumer/src/leases/testing/java-leader-model.js'
// biome-ignore lint/style/noRestrictedImports: as above
export type { JavaShardReader, JavaStep } from '../../packages/consumer/src/leases/testing/java-shard.js'
// biome-ignore lint/style/noRestrictedImports: as above
export { JavaTaker, type JavaWorkerOptions } from '../../packages/consumer/src/leases/testing/java-worker-model.js'
