import { AggregationError, described } from './aggregation-error.js'
import type { Tag } from './user-record.js'
import { readUtf8, utf8Bytes, writeUtf8 } from './utf8.js'
import { lengthDelimitedBytes, RECORD_TAG, TAG_KEY, TAG_VALUE, writeVarint } from './wire-format.js'
import { MALFORMED, WireReader } from './wire-reader.js'

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
  for (const tag of tags) {
    target[at++] = RECORD_TAG
    at = writeVarint(target, at, tagBytes(tag))
    at = writeText(target, at, TAG_KEY, tag.key)
    if (tag.value !== undefined) at = writeText(target, at, TAG_VALUE, tag.value)
  }
  return at
}

function tagBytes(tag: Tag): number {
  const key = lengthDelimitedBytes(utf8Bytes(tag.key))
  return tag.value === undefined ? key : key + lengthDelimitedBytes(utf8Bytes(tag.value))
}

function writeText(target: Uint8Array, at: number, field: number, text: string): number {
  const bytes = utf8Bytes(text)
  target[at++] = field
  return writeUtf8(target, writeVarint(target, at, bytes), text, bytes)
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
