import type { StreamReference } from '@shardwise/core/kinesis-port'
import { MAX_RETENTION_HOURS, MIN_RETENTION_HOURS } from '@shardwise/core/service-limits'
import { distributionNeedsOnDemand } from './create-stream.js'
import { DISTRIBUTION, MAX_RECORD_KIB, required, STREAM, STREAM_ARN, STREAM_MODE } from './field-rules.js'
import type { Rule } from './input-validation.js'
import { invalidArgument } from './kinesis-error.js'
import { type Operation, operation } from './operation.js'
import type { StreamSettings } from './stream.js'

type RetentionInput = StreamReference & { readonly RetentionPeriodHours: number }
const RETENTION = { ...STREAM, RetentionPeriodHours: required({ type: 'integer' }) }

export const increaseStreamRetentionPeriod: Operation = operation<RetentionInput>(RETENTION, (account, input) => {
  const stream = account.stream(input)
  const hours = checkedRetention(input.RetentionPeriodHours)
  const present = stream.settings.retentionHours
  if (hours < present) {
    throw invalidArgument(
      `Requested retention period (${hours} hours) for stream ${stream.name} can not be shorter than existing retention period ` +
        `(${present} hours). Use DecreaseRetentionPeriod API.`,
    )
  }
  account.updateSettings(account.activeStream(input), { retentionHours: hours })
  return {}
})

export const decreaseStreamRetentionPeriod: Operation = operation<RetentionInput>(RETENTION, (account, input) => {
  const stream = account.stream(input)
  const hours = checkedRetention(input.RetentionPeriodHours)
  const present = stream.settings.retentionHours
  if (hours > present) {
    throw invalidArgument(
      `Requested retention period (${hours} hours) for stream ${stream.name} can not be longer than existing retention period ` +
        `(${present} hours). Use IncreaseRetentionPeriod API.`,
    )
  }
  account.updateSettings(account.activeStream(input), { retentionHours: hours })
  return {}
})

function checkedRetention(hours: number): number {
  if (hours < MIN_RETENTION_HOURS) {
    throw invalidArgument(
      `Minimum allowed retention period is ${MIN_RETENTION_HOURS} hours. Requested retention period (${hours} hours) is too short.`,
    )
  }
  if (hours > MAX_RETENTION_HOURS) {
    throw invalidArgument(
      `Maximum allowed retention period is ${MAX_RETENTION_HOURS} hours. Requested retention period (${hours} hours) is too long.`,
    )
  }
  return hours
}

export const updateMaxRecordSize: Operation = operation<StreamReference & { readonly MaxRecordSizeInKiB: number }>(
  { StreamARN: STREAM_ARN, MaxRecordSizeInKiB: required(MAX_RECORD_KIB) },
  (account, input) => {
    account.updateSettings(account.activeStream(input), { maxRecordKiB: input.MaxRecordSizeInKiB })
    return {}
  },
)

/** Leaving on-demand mode ends service-managed distribution, which exists only there. The shards stay as they are. */
export const updateStreamMode: Operation = operation<
  StreamReference & { readonly StreamModeDetails: { readonly StreamMode: StreamSettings['mode'] } }
>({ StreamARN: required(STREAM_ARN), StreamModeDetails: required(STREAM_MODE) }, (account, input) => {
  const mode = input.StreamModeDetails.StreamMode
  const stream = account.activeStream(input)
  account.updateSettings(stream, mode === 'PROVISIONED' ? { mode, distribution: 'USER_PARTITION_KEY' } : { mode })
  return {}
})

/** Takes effect at once, without UPDATING. */
export const updateStreamRecordDistributionStrategy: Operation = operation<
  StreamReference & { readonly RecordDistributionStrategy: StreamSettings['distribution'] }
>({ StreamARN: required(STREAM_ARN), RecordDistributionStrategy: required(DISTRIBUTION) }, (account, input) => {
  const stream = account.activeStream(input)
  const distribution = input.RecordDistributionStrategy
  if (stream.settings.mode !== 'ON_DEMAND' && distribution === 'AUTO') throw distributionNeedsOnDemand(stream.name)
  stream.settings = { ...stream.settings, distribution }
  return {}
})

const KEY_ID: Rule = { type: 'string', min: 1, max: 2048, required: true }
const ENCRYPTION = { ...STREAM, EncryptionType: required({ type: 'string', choices: ['NONE', 'KMS'] }), KeyId: KEY_ID }

type EncryptionInput = StreamReference & { readonly EncryptionType: 'NONE' | 'KMS'; readonly KeyId: string }

/** Nothing is encrypted here: records put from now on are marked, as the service marks them. */
export const startStreamEncryption: Operation = operation<EncryptionInput>(ENCRYPTION, (account, input) => {
  requireKms(input)
  account.updateSettings(account.activeStream(input), { keyId: input.KeyId })
  return {}
})

export const stopStreamEncryption: Operation = operation<EncryptionInput>(ENCRYPTION, (account, input) => {
  requireKms(input)
  account.updateSettings(account.activeStream(input), { keyId: undefined })
  return {}
})

function requireKms(input: EncryptionInput): void {
  if (input.EncryptionType !== 'KMS') throw invalidArgument(`EncryptionType must be KMS, it was ${input.EncryptionType}.`)
}
