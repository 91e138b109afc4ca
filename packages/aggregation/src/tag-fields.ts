import { AggregationError, described } from './aggregation-error.js'
import type { Tag } from './user-record.js'
import { readUtf8, utf8Bytes, writeAscii, writeUtf8 } from './utf8.js'
import { lengthDelimitedBytes, RECORD_TAG, TAG_KEY, TAG_VALUE, writeVarint } from './wire-format.js'
import { MALFORMED, WireReader } from './wire-reader.js'

/**
 * Up to so many bytes a text is written as if it were ASCII, which nearly all are: `writeUtf8` makes a view for each. Measured on Node 20 (`npm run bench -- producer-noop-options --cpu`,
 * "one header", without and with, four pairs in turns): 1.2 times the records a second.
 */
const SHORT_BYTES = 64

/** Bytes that these tags take as fields of their record. Throws AggregationError if one has no string key. */
export function tagsBytes(tags: readonly Tag[]): number {
  let bytes = 0
  for (let i = 0; i < tags.length; i++) {
    const tag = tags[i]
    if (typeof tag?.key !== 'string')
      throw new AggregationError(`\`tags[${i}].key\` must be a string, got ${described(tag?.key)}`)
    if (tag.value !== undefined && typeof tag.value !== 'string') {
      throw new AggregationError(`\`tags[${i}].value\` must be a string or undefined, got ${described(tag.value)}`)
    }
    bytes += lengthDelimitedBytes(tagBytes(tag))
  }
  return bytes
}

/** Writes tags that `tagsBytes` has accepted and returns the position after them. */
export function writeTags(target: Uint8Array, at: number, tags: readonly Tag[]): number {
  for (const { key, value } of tags) {
    const keyBytes = utf8Bytes(key)
    const valueBytes = value === undefined ? 0 : utf8Bytes(value)
    target[at++] = RECORD_TAG
    at = writeVarint(target, at, lengthDelimitedBytes(keyBytes) + (value === undefined ? 0 : lengthDelimitedBytes(valueBytes)))
    at = writeText(target, at, TAG_KEY, key, keyBytes)
    if (value !== undefined) at = writeText(target, at, TAG_VALUE, value, valueBytes)
  }
  return at
}

function tagBytes({ key, value }: Tag): number {
  const keyBytes = lengthDelimitedBytes(utf8Bytes(key))
  return value === undefined ? keyBytes : keyBytes + lengthDelimitedBytes(utf8Bytes(value))
}

function writeText(target: Uint8Array, at: number, field: number, text: string, bytes: number): number {
  target[at++] = field
  const start = writeVarint(target, at, bytes)
  if (bytes <= SHORT_BYTES && writeAscii(target, start, text)) return start + bytes
  return writeUtf8(target, start, text, bytes)
}

/** Whether a valid tag, with its required key, fills the bytes up to `end`. */
export function checkTag(reader: WireReader, end: number): boolean {
  let keyed = false
  while (reader.at < end) {
    const tag = reader.tag(end)
    if (tag === MALFORMED || !reader.skip(tag, end)) return false
    if (tag === TAG_KEY) keyed = true
  }
  return keyed
}

/** The tags of the record in bytes [start, end), which has been checked. Bytes changed since then may give wrong tags, no error. */
export function readTags(bytes: Uint8Array, start: number, end: number): Tag[] {
  const tags: Tag[] = []
  const reader = new WireReader(bytes, start)
  while (reader.at < end) {
    const field = reader.tag(end)
    if (field === RECORD_TAG) {
      const length = reader.length(end)
      if (length === MALFORMED) break
      const tagEnd = reader.at + length
      tags.push(readTag(bytes, reader.at, tagEnd))
      reader.at = tagEnd
    } else if (field === MALFORMED || !reader.skip(field, end)) break
  }
  return tags
}

function readTag(bytes: Uint8Array, start: number, end: number): Tag {
  let key = ''
  let value: string | undefined
  const reader = new WireReader(bytes, start)
  while (reader.at < end) {
    const field = reader.tag(end)
    if (field === TAG_KEY || field === TAG_VALUE) {
      const length = reader.length(end)
      if (length === MALFORMED) break
      const text = readUtf8(bytes, reader.at, reader.at + length)
      if (field === TAG_KEY) key = text
      else value = text
      reader.at += length
    } else if (field === MALFORMED || !reader.skip(field, end)) break
  }
  return value === undefined ? { key } : { key, value }
}
