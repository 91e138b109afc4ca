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
    caughtAs: /has not given .* up/,
  },
  {
    name: 'takes leases from live workers of KCL 3.x',
    edits: [
      {
        find: "return { role: lives ? 'worker' : 'alone', reports: lives, takesFromLive: false }",
        replace: "return { role: 'alone', reports: lives, takesFromLive: true }",
      },
    ],
    caughtAs: /took .* from j|shares are unfair|come to rest/,
  },
  {
    name: 'reports itself to no leader of KCL’s',
    edits: [
      { find: "'alone', reports: lives, takesFromLive: false }", replace: "'alone', reports: false, takesFromLive: false }" },
    ],
    caughtAs: /shares are unfair/,
  },
  {
    name: 'leaves its row to KCL’s leader when it stops',
    edits: [{ find: 'await this.#deleteRow()', replace: '' }],
    caughtAs: /still owns|in calm weather/,
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
    caughtAs: /NullPointerException/,
  },
  {
    name: 'asks workers of KCL 2.x for handoffs',
    edits: [
      {
        find: 'return lease.shardwiseOwner === lease.leaseOwner\n}\n\nfunction shuffled',
        replace: 'return true\n}\n\nfunction shuffled',
      },
      {
        find: 'where: { leaseOwner: owner, checkpointOwner: undefined, shardwiseOwner: owner, ended: false },',
        replace: 'where: { leaseOwner: owner, checkpointOwner: undefined, ended: false },',
      },
    ],
    caughtAs: /moved the c|in calm weather|come to rest|shares are unfair|begins a handler call/,
  },
  {
    name: 'reads what KCL’s leader assigns before its parents have ended',
    edits: [
      {
        find: 'const mayBegin = hasBegun(lease) || parentsHaveEnded(lease, this.#view)',
        replace: 'const mayBegin = lease !== undefined',
      },
    ],
    caughtAs: /of its ancestor|before .*, which was written before it/,
  },
]
