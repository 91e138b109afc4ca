import type { KclLayout } from './kcl-evidence.js'
import type { KclRole } from './kcl-role.js'

/** What a worker finds out about Java's KCL on its table. */
export type KclEvent =
  /**
   * What this worker is beside Java's. Announced when it changes, and at the start unless there is no sign of KCL 3.x and no live Java worker.
   * `layout`: undefined when KCL's tables could not be read. `javaWorkers`: those seen alive.
   */
  | {
      readonly type: 'kcl-role'
      readonly role: KclRole
      readonly layout: KclLayout | undefined
      readonly clientVersion: string | undefined
      readonly javaWorkers: readonly string[]
    }
  /**
   * This lease came to us before the shard's parents have been read to their end, from a leader of KCL's or by way of another worker: it is
   * kept, and its shard waits.
   */
  | { readonly type: 'lease-awaits-parents'; readonly leaseKey: string; readonly parentShardIds: readonly string[] }
