import { checkTag } from './tag-fields.js'
import { type Counts, indexUsualRecord, usualEnd } from './usual-fields.js'
import {
  DIGEST_BYTES,
  EXPLICIT_HASH_KEY_ENTRY,
  MAGIC_BYTES,
  PARTITION_KEY_ENTRY,
  RECORD,
  RECORD_DATA,
  RECORD_EXPLICIT_HASH_KEY_INDEX,
  RECORD_PARTITION_KEY_INDEX,
  RECORD_TAG,
} from './wire-format.js'
import { MALFORMED, WireReader } from './wire-reader.js'

/** Per entry of the key tables: start and end of its text. */
export const KEY_FIELDS = 2
/** Per record: partition key index, explicit hash key index or -1, start and end of data, start (-1: no tags) and end of the record. */
export const RECORD_FIELDS = 6

/** Where everything in an aggregate lies. All positions are inside the bytes and all indexes inside their table. */
export interface AggregateIndex {
  /** Partition keys, then explicit hash keys, in table order, KEY_FIELDS each. */
  readonly keys: Int32Array
  readonly partitionKeys: number
  /** RECORD_FIELDS each. */
  readonly records: Int32Array
}

/**
 * Indexes the message of an aggregate whose trailer has been checked; undefined if the message is not valid.
 *
 * The first pass counts, so that the second can fill arrays of exactly that size and knows the table sizes whatever order the fields
 * come in. A table entry takes at least 2 bytes on the wire and 8 here, a record at least 6 and 24: four times the input at worst.
 */
export function indexAggregate(bytes: Uint8Array): AggregateIndex | undefined {
  const counts = countFields(bytes)
  if (counts === undefined) return undefined
  const keys = new Int32Array((counts.partitionKeys + counts.explicitHashKeys) * KEY_FIELDS)
  const records = new Int32Array(counts.records * RECORD_FIELDS)
  const end = bytes.length - DIGEST_BYTES
  const reader = new WireReader(bytes, MAGIC_BYTES)
  let partitionKeyAt = 0
  let explicitHashKeyAt = counts.partitionKeys * KEY_FIELDS
  let recordAt = 0
  for (let at = MAGIC_BYTES; at < end; ) {
    let tag = bytes[at]!
    let start = at + 1
    let fieldEnd = isOurs(tag) ? usualEnd(bytes, start) : -1
    if (fieldEnd >= 0) start += bytes[start]! < 0x80 ? 1 : 2
    else {
      reader.at = at
      tag = reader.tag(end)
      if (!isOurs(tag)) {
        if (!reader.skip(tag, end)) return undefined
        at = reader.at
        continue
      }
      fieldEnd = reader.length(end) + reader.at
      start = reader.at
    }
    if (tag === RECORD) {
      if (!indexUsualRecord(bytes, start, fieldEnd, counts, records, recordAt)) {
        reader.at = start
        if (!indexRecord(reader, fieldEnd, counts, records, recordAt)) return undefined
      }
      recordAt += RECORD_FIELDS
    } else if (tag === PARTITION_KEY_ENTRY) {
      keys[partitionKeyAt++] = start
      keys[partitionKeyAt++] = fieldEnd
    } else {
      keys[explicitHashKeyAt++] = start
      keys[explicitHashKeyAt++] = fieldEnd
    }
    at = fieldEnd
  }
  return { keys, partitionKeys: counts.partitionKeys, records }
}

function countFields(bytes: Uint8Array): Counts | undefined {
  let partitionKeys = 0
  let explicitHashKeys = 0
  let records = 0
  const end = bytes.length - DIGEST_BYTES
  const reader = new WireReader(bytes, MAGIC_BYTES)
  for (let at = MAGIC_BYTES; at < end; ) {
    let tag = bytes[at]!
    let next = isOurs(tag) ? usualEnd(bytes, at + 1) : -1
    if (next < 0) {
      reader.at = at
      tag = reader.tag(end)
      if (tag === MALFORMED || !reader.skip(tag, end)) return undefined
      next = reader.at
    }
    if (next > end) return undefined
    if (tag === RECORD) records++
    else if (tag === PARTITION_KEY_ENTRY) partitionKeys++
    else if (tag === EXPLICIT_HASH_KEY_ENTRY) explicitHashKeys++
    at = next
  }
  return { partitionKeys, explicitHashKeys, records }
}

function isOurs(tag: number): boolean {
  return tag === RECORD || tag === PARTITION_KEY_ENTRY || tag === EXPLICIT_HASH_KEY_ENTRY
}

/** Reads one record up to `end` into `records` at `at`. Of a field that is there twice the last one counts, as protobuf has it. */
function indexRecord(reader: WireReader, end: number, counts: Counts, records: Int32Array, at: number): boolean {
  const start = reader.at
  let partitionKey = -1
  let explicitHashKey = -1
  let dataStart = -1
  let dataEnd = -1
  let tagged = false
  while (reader.at < end) {
    const tag = reader.tag(end)
    if (tag === RECORD_PARTITION_KEY_INDEX) {
      partitionKey = reader.uint64(end)
      if (partitionKey === MALFORMED) return false
    } else if (tag === RECORD_EXPLICIT_HASH_KEY_INDEX) {
      explicitHashKey = reader.uint64(end)
      if (explicitHashKey === MALFORMED) return false
    } else if (tag === RECORD_DATA || tag === RECORD_TAG) {
      const length = reader.length(end)
      if (length === MALFORMED) return false
      const fieldEnd = reader.at + length
      if (tag === RECORD_DATA) {
        dataStart = reader.at
        dataEnd = fieldEnd
      } else {
        tagged = true
        if (!checkTag(reader, fieldEnd)) return false
      }
      reader.at = fieldEnd
    } else if (tag === MALFORMED || !reader.skip(tag, end)) return false
  }
  // The required fields, and indexes that exist: -1 is a missing partition key index, but no explicit hash key is as good as one.
  if (dataStart < 0 || partitionKey < 0 || partitionKey >= counts.partitionKeys) return false
  if (explicitHashKey >= counts.explicitHashKeys) return false
  records[at] = partitionKey
  records[at + 1] = explicitHashKey
  records[at + 2] = dataStart
  records[at + 3] = dataEnd
  records[at + 4] = tagged ? start : -1
  records[at + 5] = end
  return true
}
