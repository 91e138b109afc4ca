import { GetRecordsCommand, type KinesisClient, PutRecordsCommand } from '@aws-sdk/client-kinesis'
import type { GetRecordsInput, GetRecordsOutput, PutRecordsInput, PutRecordsOutput } from '../kinesis-port.js'
import type { DataOperation } from './data-operation.js'
import { sendOnce } from './one-attempt.js'

const PLACES = ['StreamARN', 'StreamId', 'ConsumerARN', 'ResourceARN']

export const putRecords: DataOperation<KinesisClient, PutRecordsInput, PutRecordsOutput> = {
  name: 'PutRecords',
  places: PLACES,
  send: (client, input, attempt, prepare) => {
    const command = new PutRecordsCommand({ ...input, Records: input.Records as PutRecordsCommand['input']['Records'] })
    sendOnce(command, attempt)
    prepare?.(command)
    return client.send(command, { abortSignal: attempt.signal })
  },
}

export const getRecords: DataOperation<KinesisClient, GetRecordsInput, GetRecordsOutput> = {
  name: 'GetRecords',
  places: PLACES,
  send: (client, input, attempt, prepare) => {
    const command = new GetRecordsCommand(input)
    sendOnce(command, attempt)
    prepare?.(command)
    return client.send(command, { abortSignal: attempt.signal })
  },
}
