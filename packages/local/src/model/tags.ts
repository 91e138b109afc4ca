import type { StreamReference } from '@shardwise/core/kinesis-port'
import type { Account } from './account.js'
import { required, STREAM, STREAM_ARN, TAG_KEY, TAG_KEYS, TAGS } from './field-rules.js'
import { invalidArgument } from './kinesis-error.js'
import { type Operation, operation } from './operation.js'
import { Stream } from './stream.js'
import { requireActive } from './stream-lifecycle.js'

/** https://docs.aws.amazon.com/streams/latest/dev/tagging.html */
const MOST_TAGS = 50
const PAGE = 50

/** What has tags: a stream, or a consumer. */
interface Tagged {
  readonly name: string
  readonly tags: Map<string, string>
}

export function addTags(account: Account, tagged: Tagged, tags: Readonly<Record<string, string>>): void {
  const entries = Object.entries(tags)
  const kind = tagged instanceof Stream ? 'stream' : 'consumer'
  if (entries.some(([key, value]) => !/^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u.test(key + value))) {
    throw invalidArgument(
      'Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @.',
    )
  }
  const total = new Set([...tagged.tags.keys(), ...entries.map(([key]) => key)]).size
  if (total > MOST_TAGS) {
    throw invalidArgument(
      `Failed to add tags to ${kind} ${tagged.name} under account ${account.accountId} because a given ${kind} cannot have more than ` +
        `${MOST_TAGS} tags associated with it.`,
    )
  }
  for (const [key, value] of entries) tagged.tags.set(key, value)
}

function sortedTags(tagged: Tagged): { readonly Key: string; readonly Value: string }[] {
  return [...tagged.tags].map(([Key, Value]) => ({ Key, Value })).sort((a, b) => (a.Key < b.Key ? -1 : 1))
}

export const addTagsToStream: Operation = operation<StreamReference & { readonly Tags: Record<string, string> }>(
  { ...STREAM, Tags: required(TAGS) },
  (account, input) => {
    addTags(account, changeableStream(account, input), input.Tags)
    return {}
  },
)

export const removeTagsFromStream: Operation = operation<StreamReference & { readonly TagKeys: readonly string[] }>(
  { ...STREAM, TagKeys: required(TAG_KEYS) },
  (account, input) => {
    removeTags(changeableStream(account, input), input.TagKeys)
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

function changeableStream(account: Account, reference: StreamReference): Stream {
  const stream = account.stream(reference)
  if (stream.state.status !== 'UPDATING') requireActive(stream, account.accountId)
  return stream
}

function removeTags(tagged: Tagged, keys: readonly string[]): void {
  for (const key of keys) tagged.tags.delete(key)
}

interface ResourceInput {
  readonly ResourceARN: string
}

/** The ARN of a stream or of a consumer. */
const RESOURCE = { ResourceARN: required(STREAM_ARN) }

function changeableResource(account: Account, { ResourceARN: arn }: ResourceInput): Tagged {
  return consumerWithArn(account, arn) ?? changeableStream(account, { StreamARN: arn })
}

function consumerWithArn(account: Account, arn: string): Tagged | undefined {
  return arn.includes('/consumer/') ? account.consumer(arn).consumer : undefined
}

export const tagResource: Operation = operation<ResourceInput & { readonly Tags: Record<string, string> }>(
  { ...RESOURCE, Tags: required(TAGS) },
  (account, input) => {
    addTags(account, changeableResource(account, input), input.Tags)
    return {}
  },
)

export const untagResource: Operation = operation<ResourceInput & { readonly TagKeys: readonly string[] }>(
  { ...RESOURCE, TagKeys: required(TAG_KEYS) },
  (account, input) => {
    removeTags(changeableResource(account, input), input.TagKeys)
    return {}
  },
)

export const listTagsForResource: Operation = operation<ResourceInput>(RESOURCE, (account, input) => ({
  Tags: sortedTags(consumerWithArn(account, input.ResourceARN) ?? account.stream({ StreamARN: input.ResourceARN })),
}))
