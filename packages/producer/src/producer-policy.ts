import {
  type DataKeysPolicy,
  dataKeysStatement,
  type IamPolicy,
  type IamStatement,
  streamArnsOption,
  streamKeyStatement,
} from '@shardwise/core/iam-policy'
import { InvalidOptionError, refuseUnknownOptions } from '@shardwise/core/options'

export type { DataKeysPolicy, IamPolicy, IamStatement }

export interface ProducerPolicyOptions {
  readonly streamArns: readonly string[]
  /** KMS keys of yours that Kinesis encrypts these streams with. None for `alias/aws/kinesis` and for streams that are not encrypted. */
  readonly streamKeyArns?: readonly string[] | undefined
  /** For the codec `encrypted` with `kmsDataKeys`. */
  readonly dataKeys?: DataKeysPolicy | undefined
}

/** All that a producer may do, and no more. */
export function producerPolicy(options: ProducerPolicyOptions): IamPolicy {
  if (typeof options !== 'object' || options === null) throw new InvalidOptionError('options', '{ streamArns, … }', options)
  refuseUnknownOptions(options, ['streamArns', 'streamKeyArns', 'dataKeys'])
  const streamArns = streamArnsOption(options.streamArns)
  const { streamKeyArns, dataKeys } = options
  const statements: IamStatement[] = [
    {
      Sid: 'PutRecords',
      Effect: 'Allow',
      Action: ['kinesis:PutRecords', 'kinesis:ListShards', 'kinesis:DescribeStreamSummary'],
      Resource: streamArns,
    },
  ]
  if (streamKeyArns !== undefined) statements.push(streamKeyStatement('kms:GenerateDataKey', streamKeyArns, streamArns))
  if (dataKeys !== undefined) statements.push(dataKeysStatement('kms:GenerateDataKey', dataKeys))
  return { Version: '2012-10-17', Statement: statements }
}
