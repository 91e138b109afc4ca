import { InvalidOptionError } from './options.js'

/** An IAM policy as JSON has it: for CloudFormation, Terraform's jsonencode, CDK's `PolicyDocument.fromJson`, or a file. */
export interface IamPolicy {
  readonly Version: '2012-10-17'
  readonly Statement: readonly IamStatement[]
}

export interface IamStatement {
  readonly Sid: string
  readonly Effect: 'Allow'
  readonly Action: readonly string[]
  readonly Resource: readonly string[]
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>
}

/** The key of client-side encryption: the codec `encrypted` with `kmsDataKeys`. */
export interface DataKeysPolicy {
  /** Of the KMS keys, not their aliases: of `keyId`, and for readers of `formerKeyIds`. */
  readonly keyArns: readonly string[]
  /** That of the codec. The policy insists on it. */
  readonly context?: Readonly<Record<string, string>> | undefined
}

const STREAM_ARN = /^arn:(aws[a-z-]*):kinesis:([a-z0-9-]+):\d{12}:stream\/[a-zA-Z0-9_.-]{1,128}$/
const KEY_ARN = /^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/[a-zA-Z0-9-]+$/
const TABLE_ARN = /^arn:aws[a-z-]*:dynamodb:[a-z0-9-]+:\d{12}:table\/[a-zA-Z0-9_.-]{3,255}$/

export function streamArnsOption(given: readonly string[]): readonly string[] {
  return arns('streamArns', given, STREAM_ARN, 'ARNs of streams, one or more')
}

export function keyArnsOption(option: string, given: readonly string[]): readonly string[] {
  return arns(option, given, KEY_ARN, 'ARNs of KMS keys (not of aliases), one or more')
}

export function tableArnOption(option: string, given: string): string {
  return arns(option, [given], TABLE_ARN, 'the ARN of a DynamoDB table')[0]!
}

/**
 * For streams encrypted by Kinesis with KMS keys of yours. Kinesis calls KMS in the caller's name, with the stream's ARN as the encryption context
 * (https://docs.aws.amazon.com/streams/latest/dev/permissions-user-key-KMS.html): the key serves for these streams, through Kinesis, and for nothing else.
 */
export function streamKeyStatement(
  action: 'kms:GenerateDataKey' | 'kms:Decrypt',
  keyArns: readonly string[],
  streamArns: readonly string[],
): IamStatement {
  return {
    Sid: 'EncryptedStreams',
    Effect: 'Allow',
    Action: [action],
    Resource: keyArnsOption('streamKeyArns', keyArns),
    Condition: {
      StringEquals: {
        'kms:EncryptionContext:aws:kinesis:arn': streamArns,
        'kms:ViaService': [...new Set(streamArns.map(kinesisOf))],
      },
    },
  }
}

export function dataKeysStatement(
  action: 'kms:GenerateDataKey' | 'kms:Decrypt',
  { keyArns, context = {} }: DataKeysPolicy,
): IamStatement {
  const pairs = Object.entries(context).map(([name, value]) => [`kms:EncryptionContext:${name}`, value] as const)
  return {
    Sid: 'DataKeys',
    Effect: 'Allow',
    Action: [action],
    Resource: keyArnsOption('dataKeys.keyArns', keyArns),
    ...(pairs.length > 0 && { Condition: { StringEquals: Object.fromEntries(pairs) } }),
  }
}

function kinesisOf(streamArn: string): string {
  const [, partition, region] = STREAM_ARN.exec(streamArn)!
  return `kinesis.${region}.amazonaws.com${partition === 'aws-cn' ? '.cn' : ''}`
}

function arns(option: string, given: readonly string[], pattern: RegExp, says: string): readonly string[] {
  if (!Array.isArray(given) || given.length === 0 || given.some((arn) => typeof arn !== 'string' || !pattern.test(arn))) {
    throw new InvalidOptionError(option, says, given)
  }
  return [...given]
}
