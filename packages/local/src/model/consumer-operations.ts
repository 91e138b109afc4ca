import type { RegisterStreamConsumerInput, StreamConsumerReference } from '@shardwise/core/fan-out-port'
import { MAX_CONSUMERS_CREATING, MAX_STREAM_CONSUMERS } from '@shardwise/core/service-limits'
import type { Account } from './account.js'
import type { CallQuota } from './call-quota.js'
import { CONSUMER_ARN, CONSUMER_NAME, NEXT_TOKEN, PAGE_SIZE, required, STREAM_ARN, TAGS, TIMESTAMP } from './field-rules.js'
import { inUse, invalidArgument, limitExceeded, notFound } from './kinesis-error.js'
import { type Operation, operation } from './operation.js'
import { openPageToken, sealPageToken } from './page-token.js'
import type { Stream } from './stream.js'
import { StreamConsumer } from './stream-consumer.js'
import { noSuchStream } from './stream-lifecycle.js'
import { addTags } from './tags.js'

/** ListStreamConsumers gives at most this many a page, however many are asked for. */
const CONSUMERS_PER_PAGE = 100

const REFERENCE = { ConsumerARN: CONSUMER_ARN, StreamARN: STREAM_ARN, ConsumerName: CONSUMER_NAME }

export const registerStreamConsumer: Operation = operation<
  RegisterStreamConsumerInput & { readonly Tags?: Readonly<Record<string, string>> }
>({ StreamARN: required(STREAM_ARN), ConsumerName: required(CONSUMER_NAME), Tags: TAGS }, (account, input) => {
  const { ConsumerName: name } = input
  const stream = account.stream(input)
  limit(account, stream, account.registerQuota, 'RegisterStreamConsumer')
  account.activeStream(input)
  if (stream.consumers.named(name) !== undefined) {
    throw inUse(`Consumer ${name} under stream ${stream.name} under account ${account.accountId} already exists.`)
  }
  if (stream.consumers.size >= MAX_STREAM_CONSUMERS) {
    throw limitExceeded(
      `Stream ${stream.name} under account ${account.accountId} can not have more than ${MAX_STREAM_CONSUMERS} registered consumers.`,
    )
  }
  let creating = 0
  for (const { consumers } of account.streams.values()) creating += consumers.creating
  if (creating >= MAX_CONSUMERS_CREATING) {
    throw limitExceeded(
      `Account ${account.accountId} can not have more than ${MAX_CONSUMERS_CREATING} consumers in state CREATING at the same time.`,
    )
  }
  const arn = `${stream.arn}/consumer/${name}`
  const consumer = new StreamConsumer(
    { name, arn: `${arn}:${account.nextConsumerSecond(arn)}`, createdAt: account.wallTime },
    { status: 'CREATING', until: account.now + account.options.transitionMs.consumer },
  )
  if (input.Tags !== undefined) addTags(account, consumer, input.Tags)
  stream.consumers.add(consumer)
  return { Consumer: consumer.description() }
})

/** Its subscriptions end at once. A consumer that is being deleted stays so. */
export const deregisterStreamConsumer: Operation = operation<StreamConsumerReference>(REFERENCE, (account, input) => {
  const { stream, consumer } = namedConsumer(account, input)
  limit(account, stream, stream.consumers.deregisterQuota, 'DeregisterStreamConsumer')
  if (consumer.state.status !== 'DELETING') {
    consumer.state = { status: 'DELETING', until: account.now + account.options.transitionMs.consumer }
  }
  return {}
})

export const describeStreamConsumer: Operation = operation<StreamConsumerReference>(REFERENCE, (account, input) => {
  const { stream, consumer } = namedConsumer(account, input)
  limit(account, stream, stream.consumers.describeQuota, 'DescribeStreamConsumer')
  return { ConsumerDescription: { ...consumer.description(), StreamARN: stream.arn } }
})

interface ListInput {
  readonly StreamARN: string
  readonly NextToken?: string
  readonly MaxResults?: number
  readonly StreamCreationTimestamp?: Date
}

/** By name. */
export const listStreamConsumers: Operation = operation<ListInput>(
  {
    StreamARN: required(STREAM_ARN),
    NextToken: NEXT_TOKEN,
    MaxResults: PAGE_SIZE,
    StreamCreationTimestamp: TIMESTAMP,
  },
  (account, input) => {
    const { NextToken: token, StreamCreationTimestamp: createdAt } = input
    if (token !== undefined && createdAt !== undefined) {
      throw invalidArgument('NextToken and StreamCreationTimestamp cannot be provided together.')
    }
    const stream = account.stream(input)
    limit(account, stream, stream.consumers.listQuota, 'ListStreamConsumers')
    if (createdAt !== undefined && createdAt.getTime() !== stream.createdAt) throw noSuchStream(stream.name, account.accountId)
    const from = token === undefined ? undefined : openPageToken(account, 'consumers', token)
    if (from !== undefined && from.context[0] !== stream.incarnation) throw noSuchStream(stream.name, account.accountId)
    const consumers = stream.consumers.list().filter(({ name }) => from === undefined || name > from.after)
    const page = consumers.slice(0, Math.min(input.MaxResults ?? CONSUMERS_PER_PAGE, CONSUMERS_PER_PAGE))
    const last = page.at(-1)
    return {
      Consumers: page.map((consumer) => consumer.description()),
      ...(page.length < consumers.length && last !== undefined
        ? { NextToken: sealPageToken(account, 'consumers', { after: last.name, context: [stream.incarnation] }) }
        : {}),
    }
  },
)

/** By its ARN, or by its name and the stream's ARN, or by all three if they agree. */
function namedConsumer(
  account: Account,
  reference: StreamConsumerReference,
): { readonly stream: Stream; readonly consumer: StreamConsumer } {
  const { ConsumerARN: arn, StreamARN: streamArn, ConsumerName: name } = reference
  if (arn !== undefined) {
    const found = account.consumer(arn)
    if ((streamArn ?? found.stream.arn) !== found.stream.arn || (name ?? found.consumer.name) !== found.consumer.name) {
      throw invalidArgument(`ConsumerARN ${arn}, StreamARN ${streamArn} and ConsumerName ${name} do not name the same consumer.`)
    }
    return found
  }
  if (streamArn === undefined || name === undefined) {
    throw invalidArgument('Either ConsumerARN or both StreamARN and ConsumerName should be provided.')
  }
  const stream = account.stream({ StreamARN: streamArn })
  const consumer = stream.consumers.named(name)
  if (consumer !== undefined) return { stream, consumer }
  throw notFound(`Consumer ${name} of stream ${stream.name} under account ${account.accountId} not found.`)
}

function limit(account: Account, stream: Stream, quota: CallQuota, operationName: string): void {
  if (stream.quotas && !quota.take(account.now)) {
    throw limitExceeded(`Rate exceeded for ${operationName} on stream ${stream.name} under account ${account.accountId}.`)
  }
}
