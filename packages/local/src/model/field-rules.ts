import type { Rule } from './input-validation.js'

/** Rules of the fields that several operations share. Source: botocore, kinesis 2013-12-02, service-2.json. */
export const STREAM_NAME: Rule = { type: 'string', min: 1, max: 128, pattern: '[a-zA-Z0-9_.-]+' }
export const STREAM_ARN: Rule = { type: 'string', min: 1, max: 2048, pattern: 'arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+' }
export const CONSUMER_NAME: Rule = { type: 'string', min: 1, max: 128, pattern: '[a-zA-Z0-9_.-]+' }
export const CONSUMER_ARN: Rule = {
  type: 'string',
  min: 1,
  max: 2048,
  pattern: '(arn):aws.*:kinesis:.*:\\d{12}:.*stream\\/[a-zA-Z0-9_.-]+\\/consumer\\/[a-zA-Z0-9_.-]+:[0-9]+',
}
export const STREAM: { readonly StreamName: Rule; readonly StreamARN: Rule } = { StreamName: STREAM_NAME, StreamARN: STREAM_ARN }
export const SHARD_ID: Rule = { type: 'string', min: 1, max: 128, pattern: '[a-zA-Z0-9_.-]+' }
export const SEQUENCE_NUMBER: Rule = { type: 'string', pattern: '0|([1-9]\\d{0,128})' }
export const HASH_KEY: Rule = { type: 'string', pattern: '0|([1-9]\\d{0,38})' }
export const PARTITION_KEY: Rule = { type: 'string', min: 1, max: 256 }
/** The ceiling of every stream; the stream's own limit is checked by the put operations. */
export const DATA: Rule = { type: 'blob', max: 10_485_760, required: true }
export const PAGE_SIZE: Rule = { type: 'integer', min: 1, max: 10_000 }
export const NEXT_TOKEN: Rule = { type: 'string', min: 1, max: 1_048_576 }
export const TIMESTAMP: Rule = { type: 'timestamp' }
export const MAX_RECORD_KIB: Rule = { type: 'integer', min: 1024, max: 10_240 }
export const STREAM_MODE: Rule = {
  type: 'structure',
  fields: { StreamMode: { type: 'string', choices: ['PROVISIONED', 'ON_DEMAND'], required: true } },
}
export const DISTRIBUTION: Rule = { type: 'string', choices: ['AUTO', 'USER_PARTITION_KEY'] }
export const TAG_KEY: Rule = { type: 'string', min: 1, max: 128 }
export const TAGS: Rule = { type: 'map', key: TAG_KEY, value: { type: 'string', max: 256, required: true }, min: 1, max: 200 }
export const TAG_KEYS: Rule = { type: 'list', of: { ...TAG_KEY, required: true }, min: 1, max: 50, shown: 'tag key' }

export function required(rule: Rule): Rule {
  return { ...rule, required: true }
}
