import type { PlantedBug } from './planted-bug.js'

/** Beside workers of Java's KCL. */
export const JAVA_BUGS: readonly PlantedBug[] = [
  {
    name: 'hears no request of KCL’s leader',
    edits: [
      {
        find: 'if (pendingHandoff(row)?.from !== this.#options.workerId) return',
        replace: 'if (pendingHandoff(row)?.from !== this.#options.workerId || row.nextOwner === undefined) return',
      },
    ],
    caughtBy: ['who was asked for a lease gives it up'],
  },
  {
    name: 'takes leases from live workers of KCL 3.x',
    edits: [
      {
        find: "return { role: lives ? 'worker' : 'alone', reports: lives, takesFromLive: false }",
        replace: "return { role: 'alone', reports: lives, takesFromLive: true }",
      },
    ],
    caughtBy: [
      'no lease is taken from the living, or too early',
      'all leases have owners, in fair shares',
      'the fleet comes to rest',
    ],
  },
  {
    name: 'reports itself to no leader of KCL’s',
    edits: [
      { find: "'alone', reports: lives, takesFromLive: false }", replace: "'alone', reports: false, takesFromLive: false }" },
    ],
    caughtBy: ['all leases have owners, in fair shares'],
  },
  {
    name: 'puts its row among the leases of KCL 2.x',
    edits: [
      { find: 'reports: upgrading && (ownerLives || workerLives || leaderLives),', replace: 'reports: true,' },
      {
        find: "if (layout === 'leases-only') return undefined\n    return layout === 'three-tables'",
        replace: "return layout === 'three-tables'",
      },
    ],
    caughtBy: ['no row of ours stops a worker of Java’s'],
  },
]
