import { EventSource } from '@shardwise/core/events'
import type { Shard } from '@shardwise/core/shard-map'
import { Account } from '../account.js'
import { Entry } from '../entry.js'
import { Ledger } from '../ledger.js'
import { MemberRecords } from '../members.js'
import { toUserRecord, type UserRecord } from '../user-record.js'

const ledger = new Ledger({ maxBytes: 0, maxRecords: 0 }, new EventSource())
const account = new Account('flights', ledger, { put: () => true, offer: () => true, admitLate() {}, turn() {} })

/** A record that does not expire. `explicitHashKey` decides its place. */
export function recordOf(partitionKey: string, size = 10, explicitHashKey?: string): UserRecord {
  const record = toUserRecord({ partitionKey, explicitHashKey, data: new Uint8Array(size) })
  record.account = account
  record.expiresAt = Number.POSITIVE_INFINITY
  return record
}

/** Covers everything unless told otherwise. */
export function shardOf(shardId: string, range: Shard['range'] = { start: 0n, end: 2n ** 128n - 1n }): Shard {
  return { shardId, range, startingSequenceNumber: '1' }
}

export function entryOf(
  shard: Shard | string | undefined,
  options: { readonly size?: number; readonly deadline?: number; readonly explicitHashKey?: string; readonly key?: string } = {},
): Entry {
  return Entry.plain(
    recordOf(options.key ?? 'k', options.size ?? 10, options.explicitHashKey),
    shardNamed(shard),
    options.deadline ?? 0,
  )
}

/** An aggregate whose members have these hash keys. Its bytes do not matter. */
export function aggregateOf(shard: Shard | string, ...explicitHashKeys: readonly (string | bigint)[]): Entry {
  const records = explicitHashKeys.map((hashKey, i) => recordOf(`k${i}`, 10, hashKey.toString()))
  return Entry.aggregate(
    new MemberRecords(records),
    shardNamed(shard),
    { bytes: new Uint8Array(50), byteLength: 50, release() {} },
    0,
  )
}

/** One entry of these records, in their order. The bytes of an aggregate do not matter. */
export function entryWith(records: UserRecord[], shard: Shard | string = 'p'): Entry {
  if (records.length === 1) return Entry.plain(records[0]!, shardNamed(shard), 0)
  return Entry.aggregate(
    new MemberRecords(records),
    shardNamed(shard),
    { bytes: new Uint8Array(50), byteLength: 50, release() {} },
    0,
  )
}

function shardNamed<S extends Shard | string | undefined>(shard: S): Shard | Exclude<S, string> {
  return (typeof shard === 'string' ? shardOf(shard) : shard) as Shard | Exclude<S, string>
}
