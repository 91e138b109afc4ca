import { EventSource } from '@shardwise/core/events'
import { expect, test } from 'vitest'
import { Account } from './account.js'
import { Ledger } from './ledger.js'
import type { ProducerEvent } from './producer-events.js'
import { recordOf } from './testing/records.js'
import type { UserRecord } from './user-record.js'

/** Streams that share room for 100 bytes, and what they are told in its order. */
function accountsOf(...names: readonly string[]): {
  readonly told: string[]
  readonly accounts: Account[]
  readonly ledger: Ledger
} {
  const ledger = new Ledger({ maxBytes: 100, maxRecords: 10 }, new EventSource<ProducerEvent>())
  const told: string[] = []
  const accounts = names.map(
    (name) =>
      new Account(name, ledger, {
        put: () => true,
        offer: () => true,
        admitLate: (record) => told.push(`${name} admits ${record.partitionKey}`),
        turn: () => told.push(`${name} turns`),
      }),
  )
  return { told, accounts, ledger }
}

const of = (key: string, bytes: number): UserRecord => recordOf(key, bytes - key.length)
const held = ({ records, bytes, waiting, isEmpty }: Account): unknown[] => [records, bytes, waiting, isEmpty]

test('streams share the room and stand in one line, and each counts its own', () => {
  const { told, ledger, accounts } = accountsOf('A', 'B', 'C')
  const [a, b, c] = accounts as [Account, Account, Account]
  const first = of('1', 90)
  expect([a.takeOrWait(first), b.takeOrWait(of('2', 40)), a.takeOrWait(of('3', 40)), b.takeOrWait(of('4', 10))]).toEqual([
    true,
    false,
    false,
    false,
  ])
  expect(c.take(of('5', 1))).toBe(false)
  expect([a, b, c].map(held)).toEqual([
    [1, 90, 1, false],
    [0, 0, 2, false],
    [0, 0, 0, true],
  ])
  expect([a.admitWaiting(0), told]).toEqual([false, []])
  a.leave(first)
  expect(a.admitWaiting(0)).toBe(true)
  // Those of others turn when all are in, each once; a itself is in its turn.
  expect(told).toEqual(['B admits 2', 'A admits 3', 'B admits 4', 'B turns'])
  expect([a, b].map(held)).toEqual([
    [1, 40, 0, false],
    [2, 50, 0, false],
  ])
  expect([ledger.bytes, ledger.records, ledger.waiting]).toEqual([90, 3, 0])
})

test('room that one stream frees goes to the first in line, of whichever stream', () => {
  const { told, accounts } = accountsOf('A', 'B', 'C')
  const [a, b, c] = accounts as [Account, Account, Account]
  const first = of('1', 100)
  a.take(first)
  for (const [account, key] of [
    [b, '2'],
    [c, '3'],
    [b, '4'],
  ] as const)
    account.takeOrWait(of(key, 60))
  a.leave(first)
  expect(a.admitWaiting(0)).toBe(false)
  expect(told).toEqual(['B admits 2', 'B turns'])
  expect([a, b, c].map(held)).toEqual([
    [0, 0, 0, true],
    [1, 60, 1, false],
    [0, 0, 1, false],
  ])
})
