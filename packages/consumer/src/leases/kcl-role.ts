import type { KclLayout } from './kcl-evidence.js'

/**
 * `alone`: no live Java worker is seen. `taker`: KCL 2.x takes leases beside us, and we as it does. `worker`: a leader of KCL 3.x assigns
 * leases, and we take none.
 */
export type KclRole = 'alone' | 'taker' | 'worker'

export interface KclFacts {
  /** Undefined: KCL's tables could not be read. */
  readonly layout: KclLayout | undefined
  readonly clientVersion: string | undefined
  readonly hasLeader: boolean
  /** The leader's lock moves. */
  readonly leaderLives: boolean
  /** A Java worker's row is fresh. */
  readonly workerLives: boolean
  /** The counters of leases that a Java worker owns move. */
  readonly ownerLives: boolean
}

export interface KclConduct {
  readonly role: KclRole
  /** Whether our own worker row is written, and which layout says where. */
  readonly reports: boolean
  /** Live Java owners take from each other by counter, and may be taken from. */
  readonly takesFromLive: boolean
}

/** ClientVersion.java: all others run the algorithm of 2.x. */
const ASSIGNED_BY_LEADER = new Set(['CLIENT_VERSION_3X', 'CLIENT_VERSION_3X_WITH_ROLLBACK'])
/** 3.x goes on to its own algorithm when each owner of a lease has a worker row (MigrationReadyMonitor.java). */
const WAITS_FOR_WORKER_ROWS = 'CLIENT_VERSION_UPGRADE_FROM_2X'

/** Pure. docs/lease-protocol.md, "The roles". */
export function kclConduct(facts: KclFacts): KclConduct {
  const { layout, clientVersion, hasLeader, leaderLives, workerLives, ownerLives } = facts
  if (layout === undefined) return { role: 'alone', reports: false, takesFromLive: false }
  const led = clientVersion === undefined ? hasLeader : ASSIGNED_BY_LEADER.has(clientVersion)
  if (led) {
    const lives = leaderLives || workerLives
    return { role: lives ? 'worker' : 'alone', reports: lives, takesFromLive: false }
  }
  const upgrading = clientVersion === WAITS_FOR_WORKER_ROWS && layout !== 'leases-only'
  return {
    role: ownerLives ? 'taker' : 'alone',
    reports: upgrading && (ownerLives || workerLives || leaderLives),
    takesFromLive: true,
  }
}
