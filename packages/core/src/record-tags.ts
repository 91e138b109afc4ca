import type { Tag } from '@shardwise/aggregation'

/**
 * How headers and the record id travel: in the tags that the KPL's record format has for each user record and that Amazon's own libraries
 * neither write nor read (messages.proto of the KPL). A header's name is a tag's key as it is; the id has a key of its own.
 */
export type Headers = Readonly<Record<string, string>>

export const RECORD_ID_TAG = 'shardwise-id'

/** Names that begin so are ours: no header of a caller has one. */
export const RESERVED_PREFIX = 'shardwise-'

/** No prototype: a header may be named like anything that an object has. */
const NO_HEADERS: Headers = Object.freeze(Object.create(null) as Headers)

/** The headers among the tags, as an object without prototype, frozen. Of two with one name the last counts; no value reads as ''. */
export function headersOf(tags: readonly Tag[]): Headers {
  let headers: Record<string, string> | undefined
  for (const { key, value } of tags) {
    if (key === RECORD_ID_TAG) continue
    headers ??= Object.create(null) as Record<string, string>
    headers[key] = value ?? ''
  }
  return headers === undefined ? NO_HEADERS : Object.freeze(headers)
}

/** The record id among the tags, if there is one. */
export function recordIdOf(tags: readonly Tag[]): string | undefined {
  for (const { key, value } of tags) if (key === RECORD_ID_TAG && value) return value
  return undefined
}

/** The tags of a record; undefined if it has none. */
export function tagsOf(recordId: string | undefined, headers: Headers | undefined): Tag[] | undefined {
  const tags: Tag[] = recordId === undefined ? [] : [{ key: RECORD_ID_TAG, value: recordId }]
  if (headers !== undefined) for (const key of Object.keys(headers)) tags.push({ key, value: headers[key] })
  return tags.length === 0 ? undefined : tags
}
