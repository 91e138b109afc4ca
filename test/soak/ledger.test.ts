import { expect, test } from 'vitest'
import { Ledger, type LedgerVerdict } from './ledger.js'

/** Three records of two keys: 0 and 2 of the first, 1 of the second. */
function ledger(): Ledger {
  const made = new Ledger(10)
  for (const key of [0, 1, 0]) made.offer(key)
  return made
}

const clean = { count: 0, examples: [] }

function kept(verdict: LedgerVerdict): readonly string[] {
  return Object.entries(verdict).flatMap(([name, value]) => (typeof value === 'object' && value.count > 0 ? [name] : []))
}

test('is content when every acknowledged record is read at its place, whichever comes first', () => {
  const account = ledger()
  account.see(0, 70)
  account.acknowledge(0, 70, 1)
  account.acknowledge(1, 71, 1)
  account.see(1, 71)
  account.acknowledge(2, 72, 1)
  account.see(2, 72)
  expect(account.verdict(2)).toEqual({
    ...{ offered: 3, acknowledged: 3, failed: 0, duplicates: 0, retried: 0 },
    ...{ unsettled: clean, settledTwice: clean, lost: clean, misplaced: clean, denied: clean },
    ...{ unexplainedCopies: clean, outOfOrder: clean },
  })
})

const whole = (account: Ledger, ...records: number[]): void => {
  for (const record of records) {
    account.acknowledge(record, 100 + record, 1)
    account.see(record, 100 + record)
  }
}

test.each<[string, (account: Ledger) => void, string[]]>([
  ['never settled', (account) => whole(account, 0, 1), ['unsettled']],
  [
    'acknowledged twice',
    (account) => {
      whole(account, 0, 1, 2)
      account.acknowledge(1, 101, 1)
    },
    ['settledTwice'],
  ],
  [
    'acknowledged and failed',
    (account) => {
      whole(account, 0, 1, 2)
      account.fail(1, 'no')
    },
    ['settledTwice'],
  ],
  [
    'acknowledged and never read',
    (account) => {
      whole(account, 0, 1)
      account.acknowledge(2, 102, 1)
    },
    ['lost'],
  ],
  [
    'acknowledged, read only from an aggregate that readers drop',
    (account) => {
      whole(account, 0, 1)
      account.acknowledge(2, 102, 1)
      account.dropped(2)
    },
    ['lost'],
  ],
  [
    'read somewhere else than told',
    (account) => {
      whole(account, 0, 1)
      account.acknowledge(2, 102, 1)
      account.see(2, 103)
    },
    ['misplaced'],
  ],
  [
    'read somewhere else than told, before it was told',
    (account) => {
      whole(account, 0, 1)
      account.see(2, 103)
      account.acknowledge(2, 102, 1)
    },
    ['misplaced'],
  ],
  [
    'failed as not written, and stored',
    (account) => {
      whole(account, 0, 1)
      account.fail(2, 'no')
      account.see(2, 102)
    },
    ['denied'],
  ],
  [
    'failed as not written, and stored where readers drop it',
    (account) => {
      whole(account, 0, 1)
      account.dropped(2)
      account.fail(2, 'no')
    },
    ['denied'],
  ],
  [
    'failed as perhaps written, and stored',
    (account) => {
      whole(account, 0, 1)
      account.fail(2, 'unknown')
      account.see(2, 102)
    },
    [],
  ],
  [
    'stored twice by one attempt',
    (account) => {
      whole(account, 0, 1, 2)
      account.see(2, 103)
    },
    ['unexplainedCopies'],
  ],
  ['stored in another order than put', (account) => whole(account, 2, 1, 0), ['outOfOrder']],
  ['two keys in another order', (account) => whole(account, 1, 0, 2), []],
  [
    'stored out of order before one that failed',
    (account) => {
      account.see(2, 102)
      account.fail(2, 'unknown')
      whole(account, 0, 1)
    },
    [],
  ],
])('%s', (_, tell, breaches) => {
  const account = ledger()
  tell(account)
  expect(kept(account.verdict(2))).toEqual(breaches)
})

test('takes copies as explained by attempts, and the acknowledged one may be any of them', () => {
  const account = ledger()
  whole(account, 0, 1)
  for (const place of [201, 202, 203]) account.see(2, place)
  account.acknowledge(2, 203, 3)
  const verdict = account.verdict(2)
  expect(kept(verdict)).toEqual([])
  expect(verdict).toMatchObject({ duplicates: 2, retried: 1 })
})

test('names the first records that break a promise', () => {
  const account = new Ledger(100)
  for (let record = 0; record < 20; record++) account.offer(0)
  expect(account.verdict(1).unsettled).toEqual({ count: 20, examples: [0, 1, 2, 3, 4] })
})

test('knows no record that was not offered', () => {
  const account = ledger()
  expect(account.see(3, 1)).toBe(false)
  expect(account.dropped(3)).toBe(false)
})

test('tells whether everything up to a record has settled', () => {
  const account = ledger()
  account.acknowledge(1, 1, 1)
  expect(account.hasSettledBelow(0)).toBe(true)
  expect(account.hasSettledBelow(1)).toBe(false)
  account.fail(0, 'no')
  expect(account.hasSettledBelow(2)).toBe(true)
  expect(account.hasSettledBelow(3)).toBe(false)
})
