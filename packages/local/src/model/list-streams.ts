import { NEXT_TOKEN, PAGE_SIZE, STREAM_NAME } from './field-rules.js'
import { invalidArgument } from './kinesis-error.js'
import { type Operation, operation } from './operation.js'
import { openPageToken, sealPageToken } from './page-token.js'

interface ListStreamsInput {
  readonly Limit?: number
  readonly ExclusiveStartStreamName?: string
  readonly NextToken?: string
}

const PAGE = 100

/** By name. */
export const listStreams: Operation = operation<ListStreamsInput>(
  { Limit: PAGE_SIZE, ExclusiveStartStreamName: STREAM_NAME, NextToken: NEXT_TOKEN },
  (account, input) => {
    if (input.NextToken !== undefined && input.ExclusiveStartStreamName !== undefined) {
      throw invalidArgument('NextToken and ExclusiveStartStreamName cannot be provided together.')
    }
    const after =
      input.NextToken === undefined ? input.ExclusiveStartStreamName : openPageToken(account, 'streams', input.NextToken).after
    const streams = [...account.streams.values()]
      .filter((stream) => after === undefined || stream.name > after)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
    const page = streams.slice(0, input.Limit ?? PAGE)
    const last = page.at(-1)
    return {
      StreamNames: page.map((stream) => stream.name),
      HasMoreStreams: page.length < streams.length,
      StreamSummaries: page.map((stream) => ({
        StreamName: stream.name,
        StreamARN: stream.arn,
        StreamStatus: stream.state.status,
        StreamModeDetails: { StreamMode: stream.settings.mode },
        StreamCreationTimestamp: new Date(stream.createdAt),
      })),
      ...(page.length < streams.length && last !== undefined
        ? { NextToken: sealPageToken(account, 'streams', { after: last.name, context: [] }) }
        : {}),
    }
  },
)
