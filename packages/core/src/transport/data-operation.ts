import { GetRecordsCommand, type KinesisClient, PutRecordsCommand } from '@aws-sdk/client-kinesis'
import type { GetRecordsInput, GetRecordsOutput, PutRecordsInput, PutRecordsOutput } from '../kinesis-port.js'
import { sendOnce } from './one-attempt.js'

/** An operation that is called all the time, as the SDK's commands have it. */
export interface DataOperation<Input extends object, Output extends object> {
  readonly name: string
  /** A fresh command, to be sent once, given to `prepare` before. */
  send(client: KinesisClient, input: Input, abortSignal: AbortSignal, prepare?: (command: SdkCommand) => void): Promise<Output>
}

export interface SdkCommand {
  readonly middlewareStack: object
}

export const putRecords: DataOperation<PutRecordsInput, PutRecordsOutput> = {
  name: 'PutRecords',
  send: (client, input, abortSignal, prepare) => {
    const command = new PutRecordsCommand({ ...input, Records: input.Records as PutRecordsCommand['input']['Records'] })
    sendOnce(command)
    prepare?.(command)
    return client.send(command, { abortSignal })
  },
}

export const getRecords: DataOperation<GetRecordsInput, GetRecordsOutput> = {
  name: 'GetRecords',
  send: (client, input, abortSignal, prepare) => {
    const command = new GetRecordsCommand(input)
    sendOnce(command)
    prepare?.(command)
    return client.send(command, { abortSignal })
  },
}
