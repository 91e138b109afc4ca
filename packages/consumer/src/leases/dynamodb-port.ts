import type {
  CreateTableCommand,
  CreateTableCommandOutput,
  DeleteItemCommand,
  DeleteItemCommandOutput,
  DescribeTableCommand,
  DescribeTableCommandOutput,
  GetItemCommand,
  GetItemCommandOutput,
  PutItemCommand,
  PutItemCommandOutput,
  ScanCommand,
  ScanCommandOutput,
  UpdateItemCommand,
  UpdateItemCommandOutput,
} from '@aws-sdk/client-dynamodb'
import type { CallOptions } from '@shardwise/core/kinesis-port'

/** The narrow port to DynamoDB (decision 22). One attempt per call: a hidden retry would meet its own first attempt. */
export interface DynamoDBPort {
  send(command: CreateTableCommand, options?: CallOptions): Promise<CreateTableCommandOutput>
  send(command: DeleteItemCommand, options?: CallOptions): Promise<DeleteItemCommandOutput>
  send(command: DescribeTableCommand, options?: CallOptions): Promise<DescribeTableCommandOutput>
  send(command: GetItemCommand, options?: CallOptions): Promise<GetItemCommandOutput>
  send(command: PutItemCommand, options?: CallOptions): Promise<PutItemCommandOutput>
  send(command: ScanCommand, options?: CallOptions): Promise<ScanCommandOutput>
  send(command: UpdateItemCommand, options?: CallOptions): Promise<UpdateItemCommandOutput>
}
