import {
  type DynamoDBClient,
  UpdateItemCommand,
  type UpdateItemCommandInput,
  type UpdateItemCommandOutput,
} from '@aws-sdk/client-dynamodb'
import type { DataOperation } from './data-operation.js'
import { sendOnce } from './one-attempt.js'

/** The write that a lease has three times in each failover time; all others are rare. */
export const updateItem: DataOperation<DynamoDBClient, UpdateItemCommandInput, UpdateItemCommandOutput> = {
  name: 'UpdateItem',
  places: ['TableName'],
  send: (client, input, attempt, prepare) => {
    const command = new UpdateItemCommand(input)
    sendOnce(command, attempt)
    prepare?.(command)
    return client.send(command, { abortSignal: attempt.signal })
  },
}
