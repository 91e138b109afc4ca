import {
  type DataKeysPolicy,
  dataKeysStatement,
  type IamPolicy,
  type IamStatement,
  streamArnsOption,
  streamKeyStatement,
  tableArnOption,
} from '@shardwise/core/iam-policy'
import { booleanOption, choiceOption, InvalidOptionError, refuseUnknownOptions, stringOption } from '@shardwise/core/options'

export type { DataKeysPolicy, IamPolicy, IamStatement }

export interface ConsumerPolicyOptions {
  readonly streamArns: readonly string[]
  /** Of the lease table. Not with leases in memory. */
  readonly leaseTableArn?: string | undefined
  /** The consumer may make its table, with tags. Default true; with `leaseTableOptions: { create: false }` it need not. */
  readonly createTable?: boolean | undefined
  /** 'off' as the consumer's option; 'look' (default) is enough beside no Java and beside KCL 2.x; 'beside-3' for a fleet with workers of KCL 3.x. */
  readonly kcl?: 'off' | 'look' | 'beside-3' | undefined
  /** The consumer's `applicationName`, by which KCL's tables are found. Default: the name of the lease table. */
  readonly applicationName?: string | undefined
  /** For enhanced fan-out. `register` (default true): it may register its consumers. */
  readonly fanOut?: { readonly consumerName: string; readonly register?: boolean | undefined } | undefined
  /** KMS keys of yours that Kinesis encrypts these streams with. None for `alias/aws/kinesis` and for streams that are not encrypted. */
  readonly streamKeyArns?: readonly string[] | undefined
  /** For the codec `encrypted` with `kmsDataKeys`. */
  readonly dataKeys?: DataKeysPolicy | undefined
}

/** As kcl-tables.ts has it, which brings the AWS SDK with it. */
const OWNER_INDEX = 'LeaseOwnerToLeaseKeyIndex'

const KNOWN = ['streamArns', 'leaseTableArn', 'createTable', 'kcl', 'applicationName', 'fanOut', 'streamKeyArns', 'dataKeys']

/** All that a consumer may do, and no more. */
export function consumerPolicy(options: ConsumerPolicyOptions): IamPolicy {
  if (typeof options !== 'object' || options === null) throw new InvalidOptionError('options', '{ streamArns, … }', options)
  refuseUnknownOptions(options, KNOWN)
  const streamArns = streamArnsOption(options.streamArns)
  const { streamKeyArns, dataKeys } = options
  const statements: IamStatement[] = [
    allow('ReadStreams', ['GetRecords', 'GetShardIterator', 'ListShards', 'DescribeStreamSummary'].map(kinesis), streamArns),
    ...fanOutStatements(options, streamArns),
    ...leaseStatements(options),
  ]
  if (streamKeyArns !== undefined) statements.push(streamKeyStatement('kms:Decrypt', streamKeyArns, streamArns))
  if (dataKeys !== undefined) statements.push(dataKeysStatement('kms:Decrypt', dataKeys))
  return { Version: '2012-10-17', Statement: statements }
}

/**
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonkinesisdatastreams.html. A consumer's ARN ends in the time at which it was
 * registered, which nobody knows before.
 */
function fanOutStatements({ fanOut }: ConsumerPolicyOptions, streamArns: readonly string[]): IamStatement[] {
  if (fanOut === undefined) return []
  if (typeof fanOut !== 'object' || fanOut === null) throw new InvalidOptionError('fanOut', '{ consumerName }', fanOut)
  refuseUnknownOptions(fanOut, ['consumerName', 'register'], 'fanOut')
  const rule = { pattern: /^[a-zA-Z0-9_.-]{1,128}$/, says: 'a name of 1 to 128 of a-z, A-Z, 0-9, _ . -' }
  const name = stringOption('fanOut.consumerName', fanOut.consumerName, rule)
  const consumers = streamArns.map((arn) => `${arn}/consumer/${name}:*`)
  const manage = booleanOption('fanOut.register', fanOut.register, true)
    ? ['RegisterStreamConsumer', 'DescribeStreamConsumer']
    : ['DescribeStreamConsumer']
  return [
    allow('FanOutConsumers', manage.map(kinesis), [...streamArns, ...consumers]),
    allow('FanOutSubscriptions', [kinesis('SubscribeToShard')], consumers),
  ]
}

function leaseStatements(options: ConsumerPolicyOptions): IamStatement[] {
  const kcl = choiceOption('kcl', options.kcl, ['off', 'look', 'beside-3'], 'look')
  const create = booleanOption('createTable', options.createTable, true)
  if (options.leaseTableArn === undefined) return []
  const table = tableArnOption('leaseTableArn', options.leaseTableArn)
  const inUse = ['DescribeTable', 'Scan', 'GetItem', 'PutItem', 'UpdateItem', 'DeleteItem']
  const statements = [allow('Leases', (create ? [...inUse, 'CreateTable', 'TagResource'] : inUse).map(dynamodb), [table])]
  if (kcl === 'off') return statements
  const tables = table.slice(0, table.indexOf('/') + 1)
  const application = `${tables}${options.applicationName ?? table.slice(tables.length)}`
  statements.push(allow('LookForKcl', [dynamodb('GetItem')], [`${application}-CoordinatorState`]))
  if (kcl === 'look') return statements
  return [
    ...statements,
    allow('KclWorkers', ['Scan', 'UpdateItem', 'DeleteItem'].map(dynamodb), [`${application}-WorkerMetricStats`]),
    allow('KclAssignments', [dynamodb('Query')], [`${table}/index/${OWNER_INDEX}`]),
  ]
}

function allow(Sid: string, Action: readonly string[], Resource: readonly string[]): IamStatement {
  return { Sid, Effect: 'Allow', Action, Resource }
}

function kinesis(operation: string): string {
  return `kinesis:${operation}`
}

function dynamodb(operation: string): string {
  return `dynamodb:${operation}`
}
