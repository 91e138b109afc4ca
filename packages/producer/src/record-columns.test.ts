import { AggregateBuilder, type Tag } from '@shardwise/aggregation'
import { EventSource } from '@shardwise/core/events'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Account } from './account.js'
import { Ledger } from './ledger.js'
import { LoneRecords } from './lone-records.js'
import { MemberRecords, type Members } from './members.js'
import { RecordColumns } from './record-columns.js'
import { type PutOutcome, type PutResult, toUserRecord, UserRecord } from './user-record.js'

/** What is told of which subject. */
type Told = [by: string, error: Error | undefined, result: PutResult | undefined, subject: unknown]

const told: Told[] = []
const OUTCOMES: readonly (PutOutcome<never> | undefined)[] = [
  undefined,
  (...args: unknown[]) => void told.push(['one', ...args] as Told),
  (...args: unknown[]) => void told.push(['other', ...args] as Told),
]

const member = fc.record({
  // Well-formed, as whatever comes so far is.
  partitionKey: fc.oneof(fc.constantFrom('a', 'b', 'é✈😀'), fc.string({ minLength: 1, maxLength: 40, unit: 'binary' })),
  explicitHashKey: fc.option(fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map(String), { nil: undefined }),
  data: fc.uint8Array({ maxLength: 50 }),
  afterMs: fc.constantFrom(0, 0, 0, 0.25, 1, 7, 30),
  flushed: fc.boolean(),
  outcome: fc.nat({ max: OUTCOMES.length - 1 }),
  tags: fc.constantFrom<(readonly Tag[] | undefined)[]>(
    ...[
      undefined,
      undefined,
      [{ key: 'shardwise-id', value: 'x.1' }],
      [
        { key: 'é', value: '' },
        { key: 'b', value: 'ü'.repeat(50) },
      ],
    ],
  ),
  hasHeaders: fc.boolean(),
  kind: fc.constantFrom('fresh', 'fresh', 'fresh', 'fresh', 'sent before'),
})

type Member = typeof member extends fc.Arbitrary<infer M> ? M : never

interface Added {
  readonly account: Account
  readonly ledger: Ledger
  readonly records: readonly UserRecord[]
  readonly packed: Uint8Array
}

/** Records that have come in one after the other and are packed together. */
function added(given: readonly Member[]): Added {
  const ledger = new Ledger({ maxBytes: 1_000_000, maxRecords: 1000 }, new EventSource())
  const account = new Account('flights', ledger, { put: () => true, offer: () => true, admitLate() {}, turn() {} })
  const builder = new AggregateBuilder()
  let now = 1000
  const records = given.map(({ partitionKey, explicitHashKey, data, tags, hasHeaders, afterMs, flushed, outcome, kind }, i) => {
    now += afterMs
    if (flushed) void ledger.flush()
    const bytes = tags && new LoneRecords().envelopeBytes(partitionKey, explicitHashKey, data, tags)
    const record =
      bytes === undefined
        ? toUserRecord({ partitionKey, explicitHashKey, data })
        : new UserRecord(partitionKey, explicitHashKey, data, bytes, tags, hasHeaders)
    record.expiresAt = now + 100
    // Others in between go to other shards.
    record.rank = 3 * i
    if (kind === 'sent before') record.attempts = 2
    if (kind === 'sent before' && i % 2 === 0) record.mayBeWritten = true
    const told = OUTCOMES[outcome]
    if (told !== undefined) record.notify(told as PutOutcome<{ subject: number }>, { subject: i })
    account.take(record)
    account.admitted(record, now)
    expect(builder.tryAdd(partitionKey, data, explicitHashKey, tags)).toBe(true)
    return record
  })
  return { account, ledger, records, packed: builder.seal().bytes }
}

function columnsOf({ records }: Added, spanMs: number): RecordColumns {
  const columns = new RecordColumns(records[0]!, spanMs)
  for (const record of records.slice(1)) columns.add(record)
  return columns
}

const PLAIN: Omit<Member, 'partitionKey' | 'flushed'> = {
  ...{ explicitHashKey: undefined, data: new Uint8Array(1), tags: undefined, hasHeaders: false },
  ...{ afterMs: 0, outcome: 0, kind: 'fresh' },
}

const members = fc.array(member, { minLength: 2, maxLength: 40 })

describe('RecordColumns', () => {
  test('apart they are the records that were added, and in sum what these are', () => {
    fc.assert(
      fc.property(members, (given) => {
        const all = added(given)
        const columns = columnsOf(all, 0)
        const objects = new MemberRecords([...all.records])
        expect([columns.count, columns.totals, columns.possiblyWritten]).toEqual([
          objects.count,
          objects.totals,
          objects.possiblyWritten,
        ])
        const { records } = columns.apart(() => all.packed)
        const unranked = (of: readonly UserRecord[]): unknown[] => of.map((each) => ({ ...each, data: [...each.data], rank: 0 }))
        expect(unranked(records)).toEqual(unranked(all.records))
        for (const [i, record] of records.entries()) {
          expect(record.rank).toBeLessThanOrEqual(all.records[i]!.rank)
          if (i > 0) expect(record.rank).toBeGreaterThan(records[i - 1]!.rank)
          // Its own, for the aggregate's bytes are soon another's.
          expect(record.data.buffer).not.toBe(all.packed.buffer)
        }
      }),
    )
  })

  test('members that were put within the span expire with the first of them, none earlier by more', () => {
    fc.assert(
      fc.property(members, fc.constantFrom(0.5, 5), (given, spanMs) => {
        const all = added(given)
        const { records } = columnsOf(all, spanMs).apart(() => all.packed)
        for (const [i, { expiresAt }] of records.entries()) {
          const early = all.records[i]!.expiresAt - expiresAt
          expect(early).toBeGreaterThanOrEqual(0)
          expect(early).toBeLessThan(spanMs)
          if (i > 0) expect(expiresAt).toBeGreaterThanOrEqual(records[i - 1]!.expiresAt)
        }
      }),
    )
  })

  test('settling them frees and tells what settling the records does', () => {
    fc.assert(
      fc.property(members, fc.nat(), (given, cut) => {
        const settled = (make: (all: Added) => Members): unknown => {
          const all = added(given)
          const rest = all.records.slice(cut % all.records.length)
          const part = { ...all, records: rest }
          told.length = 0
          const settling = make(part)
          settling.leave(all.account)
          settling.succeed('shard', '49', 3)
          const { account, ledger } = all
          return [[...told], account.records, account.bytes, account.oldestSince, ledger.records, ledger.bytes, ledger.isEmpty]
        }
        expect(settled((all) => columnsOf(all, 10))).toEqual(settled(({ records }) => new MemberRecords([...records])))
      }),
    )
  })

  test('a flush ends with the last of its records, whatever came after it', async () => {
    const all = added([true, false, true, false].map((flushed) => ({ ...PLAIN, partitionKey: 'a', flushed })))
    const [first, second, third, fourth] = all.records
    const columns = columnsOf({ ...all, records: [second!, third!] }, 10)
    let flushed = false
    void all.ledger.flush().then(() => {
      flushed = true
    })
    for (const step of [() => all.account.leave(fourth!), () => columns.leave(all.account)]) {
      step()
      all.ledger.wake()
      await Promise.resolve()
      expect(flushed).toBe(false)
    }
    all.account.leave(first!)
    all.ledger.wake()
    await Promise.resolve()
    expect(flushed).toBe(true)
  })

  test('bytes that were changed are not taken for theirs, and the error says who must not', () => {
    const all = added([1, 2].map(() => ({ ...PLAIN, partitionKey: 'a', flushed: false })))
    for (const change of [(bytes: Uint8Array) => bytes.fill(0), (bytes: Uint8Array) => void bytes[10]!++]) {
      const packed = all.packed.slice()
      change(packed)
      expect(() => columnsOf(all, 10).apart(() => packed)).toThrow(
        /holds none now.*neither the `kinesis` port, nor a middleware of the client, may change `Data`/,
      )
    }
  })

  test('bytes that hold others are not taken for theirs', () => {
    const all = added([1, 2, 3].map(() => ({ ...PLAIN, partitionKey: 'a', flushed: false })))
    const columns = columnsOf({ ...all, records: all.records.slice(1) }, 10)
    expect(() => columns.apart(() => all.packed)).toThrow('2 records were sent in an aggregate that holds 3 now')
  })
})
