import { describe, expect, test } from 'vitest'
import { type KclFacts, kclConduct } from './kcl-role.js'

const nobody: KclFacts = {
  layout: 'leases-only',
  clientVersion: undefined,
  hasLeader: false,
  leaderLives: false,
  workerLives: false,
  ownerLives: false,
}
const led: KclFacts = { ...nobody, layout: 'single-table', clientVersion: 'CLIENT_VERSION_3X', hasLeader: true }
const upgrading: KclFacts = { ...nobody, layout: 'three-tables', clientVersion: 'CLIENT_VERSION_UPGRADE_FROM_2X' }

describe('what a worker is beside Java’s', () => {
  test.each<[string, KclFacts, ReturnType<typeof kclConduct>]>([
    ['nobody there', nobody, { role: 'alone', reports: false, takesFromLive: true }],
    ['2.x', { ...nobody, ownerLives: true }, { role: 'taker', reports: false, takesFromLive: true }],
    [
      'nothing could be read',
      { ...nobody, layout: undefined, ownerLives: true },
      { role: 'alone', reports: false, takesFromLive: false },
    ],
    ['3.x with a leader', { ...led, leaderLives: true }, { role: 'worker', reports: true, takesFromLive: false }],
    [
      '3.x between two leaders',
      { ...led, hasLeader: false, workerLives: true },
      { role: 'worker', reports: true, takesFromLive: false },
    ],
    ['3.x, all gone', led, { role: 'alone', reports: false, takesFromLive: false }],
    [
      '3.x, gone by its rows, and an owner renews: left alone',
      { ...led, ownerLives: true },
      { role: 'alone', reports: false, takesFromLive: false },
    ],
    [
      '3.x that can be rolled back',
      { ...led, clientVersion: 'CLIENT_VERSION_3X_WITH_ROLLBACK', leaderLives: true },
      { role: 'worker', reports: true, takesFromLive: false },
    ],
    [
      'a leader and no version',
      { ...led, clientVersion: undefined, leaderLives: true },
      { role: 'worker', reports: true, takesFromLive: false },
    ],
    [
      'rolled back to 2.x: the leader’s row that is left means nothing',
      { ...led, clientVersion: 'CLIENT_VERSION_2X', ownerLives: true },
      { role: 'taker', reports: false, takesFromLive: true },
    ],
    ['upgrading', { ...upgrading, ownerLives: true }, { role: 'taker', reports: true, takesFromLive: true }],
    ['upgrading, given up', upgrading, { role: 'alone', reports: false, takesFromLive: true }],
    [
      'upgrading, and Java’s workers own nothing yet',
      { ...upgrading, workerLives: true },
      { role: 'alone', reports: true, takesFromLive: true },
    ],
    [
      'a version of later KCLs counts as 2.x’s',
      { ...led, clientVersion: 'CLIENT_VERSION_INIT', ownerLives: true },
      { role: 'taker', reports: false, takesFromLive: true },
    ],
  ])('%s', (_name, facts, expected) => {
    expect(kclConduct(facts)).toEqual(expected)
  })
})
