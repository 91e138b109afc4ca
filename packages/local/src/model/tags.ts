import type { StreamReference } from '@shardwise/core/kinesis-port'
import type { Account } from './account.js'
import { required, STREAM, STREAM_ARN, TAG_KEY, TAG_KEYS, TAGS } from './field-rules.js'
import { invalidArgument } from './kinesis-error.js'
import { type Operation, operation } from './operation.js'
import type { Stream } from './stream.js'
import { requireActive } from './stream-lifecycle.js'

/** https://docs.aws.amazon.com/streams/latest/dev/tagging.html */
const MOST_TAGS = 50
const PAGE = 50

export function addTags(account: Account, stream: Stream, tags: Readonly<Record<string, string>>): void {
  const entries = Object.entries(tags)
  if (entries.some(([key, value]) => !/^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u.test(key + value))) {
    throw invalidArgument(
      'Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @.',
    )
  }
  const total = new Set([...stream.tags.keys(), ...entries.map(([key]) => key)]).size
  if (total > MOST_TAGS) {
    throw invalidArgument(
      `Failed to add tags to stream ${stream.name} under account ${account.accountId} because a given stream cannot have more than ` +
        `${MOST_TAGS} tags associated with it.`,
    )
  }
  for (const [key, value] of entries) stream.tags.set(key, value)
}

function sortedTags(stream: Stream): { readonly Key: string; readonly Value: string }[] {
  return [...stream.tags].map(([Key, Value]) => ({ Key, Value })).sort((a, b) => (a.Key < b.Key ? -1 : 1))
}

export const addTagsToStream: Operation = operation<StreamReference & { readonly Tags: Record<string, string> }>(
  { ...STREAM, Tags: required(TAGS) },
  (account, input) => {
    const stream = account.stream(input)
    if (stream.state.status !== 'UPDATING') requireActive(stream, account.accountId)
    addTags(account, stream, input.Tags)
    return {}
  },
)

export const removeTagsFromStream: Operation = operation<StreamReference & { readonly TagKeys: readonly string[] }>(
  { ...STREAM, TagKeys: required(TAG_KEYS) },
  (account, input) => {
    const stream = account.stream(input)
    if (stream.state.status !== 'UPDATING') requireActive(stream, account.accountId)
    for (const key of input.TagKeys) stream.tags.delete(key)
    return {}
  },
)

export const listTagsForStream: Operation = operation<
  StreamReference & { readonly ExclusiveStartTagKey?: string; readonly Limit?: number }
>({ ...STREAM, ExclusiveStartTagKey: TAG_KEY, Limit: { type: 'integer', min: 1, max: 50 } }, (account, input) => {
  const after = input.ExclusiveStartTagKey
  const tags = sortedTags(account.stream(input)).filter((tag) => after === undefined || tag.Key > after)
  const page = tags.slice(0, input.Limit ?? PAGE)
  return { Tags: page, HasMoreTags: page.length < tags.length }
})

interface ResourceInput {
  readonly ResourceARN: string
}

const RESOURCE = { ResourceARN: required(STREAM_ARN) }

export const tagResource: Operation = operation<ResourceInput & { readonly Tags: Record<string, string> }>(
  { ...RESOURCE, Tags: required(TAGS) },
  (account, input) => addTagsToStream(account, { StreamARN: input.ResourceARN, Tags: input.Tags }),
)

export const untagResource: Operation = operation<ResourceInput & { readonly TagKeys: readonly string[] }>(
  { ...RESOURCE, TagKeys: required(TAG_KEYS) },
  (account, input) => removeTagsFromStream(account, { StreamARN: input.ResourceARN, TagKeys: input.TagKeys }),
)

export const listTagsForResource: Operation = operation<ResourceInput>(RESOURCE, (account, input) => ({
  Tags: sortedTags(account.stream({ StreamARN: input.ResourceARN })),
}))
