import { operations } from './model/operations.js'

/** What dynalite does of DynamoDB. */
const DYNAMODB_OPERATIONS = [
  'BatchGetItem',
  'BatchWriteItem',
  'CreateTable',
  'DeleteItem',
  'DeleteTable',
  'DescribeTable',
  'DescribeTimeToLive',
  'GetItem',
  'ListTables',
  'ListTagsOfResource',
  'PutItem',
  'Query',
  'Scan',
  'TagResource',
  'UntagResource',
  'UpdateItem',
  'UpdateTable',
]

/** The operations that the local services have, in the order of the alphabet. */
export function operationNames(service: 'kinesis' | 'dynamodb' | 'both'): readonly string[] {
  const kinesis = service === 'dynamodb' ? [] : operations.keys()
  return [...new Set([...kinesis, ...(service === 'kinesis' ? [] : DYNAMODB_OPERATIONS)])].sort()
}
