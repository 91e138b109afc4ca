import type { CreateTableCommandInput } from '@aws-sdk/client-dynamodb'
import { checkLeaseTableOptions, type LeaseTableOptions, type LeaseTableSettings } from './lease-table-options.js'

/**
 * The lease table as the consumer would make it, for those who make it themselves: the input of CreateTable, and in the same words the
 * `Properties` of an `AWS::DynamoDB::Table` of CloudFormation and of CDK's `CfnTable`. What else a table can have (encryption with a
 * key of your own, point-in-time recovery, auto scaling) may be added. No sort key; an index does no harm. Throws InvalidOptionError.
 */
export function leaseTableDefinition(leaseTable: string, options: LeaseTableOptions = {}): CreateTableCommandInput {
  return definitionOf(leaseTable, checkLeaseTableOptions(options))
}

export function definitionOf(tableName: string, settings: LeaseTableSettings): CreateTableCommandInput {
  const { billing, tags, deletionProtection } = settings
  const capacity: Pick<CreateTableCommandInput, 'BillingMode' | 'ProvisionedThroughput'> =
    billing === 'on-demand'
      ? { BillingMode: 'PAY_PER_REQUEST' }
      : {
          BillingMode: 'PROVISIONED',
          ProvisionedThroughput: { ReadCapacityUnits: billing.readCapacity, WriteCapacityUnits: billing.writeCapacity },
        }
  return {
    TableName: tableName,
    AttributeDefinitions: [{ AttributeName: 'leaseKey', AttributeType: 'S' }],
    KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
    ...capacity,
    // Left out where there is nothing to say: an empty list of tags asks for the permission dynamodb:TagResource, and services that
    // resemble DynamoDB may not know the fields.
    ...(tags.length > 0 && { Tags: tags.map(([Key, Value]) => ({ Key, Value })) }),
    ...(deletionProtection && { DeletionProtectionEnabled: true }),
  }
}

/** As an error message shows it: a command line that makes the table. */
export function creationCommand(definition: CreateTableCommandInput): string {
  // A quote in a tag must not end the shell's.
  const json = JSON.stringify(definition).replaceAll("'", '\\u0027')
  return `aws dynamodb create-table --cli-input-json '${json}' (the JSON is also the Properties of a CloudFormation AWS::DynamoDB::Table)`
}
