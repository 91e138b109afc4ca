import { booleanOption, InvalidOptionError, integerOption, refuseUnknownOptions } from '@shardwise/core/options'

/**
 * How a missing lease table is made. An existing one is used as it is: it is looked at, never changed. The meaning of the fields is
 * https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
 */
export interface LeaseTableOptions {
  /**
   * Whether a missing table may be made; default true. With false the start fails with LeaseTableError, which shows the definition to
   * make it from. Then `dynamodb:CreateTable` is not needed.
   */
  readonly create?: boolean | undefined
  /**
   * `'on-demand'`, the default, or the capacity units a second to provision, each at least 1, default 10 as KCL's. Too few: throttling
   * (event `lease-table-throttled`). A lease costs about three write units in each `failoverTimeMs`.
   */
  readonly billing?:
    | 'on-demand'
    | { readonly readCapacity?: number | undefined; readonly writeCapacity?: number | undefined }
    | undefined
  /** Values by key; at most 50 keys of 1 to 128 characters that do not begin with `aws:`, values of up to 256. Default none. */
  readonly tags?: Readonly<Record<string, string>> | undefined
  /** Refuses DeleteTable until it is switched off again. Default false, as KCL. */
  readonly deletionProtection?: boolean | undefined
}

/** Checked and complete. */
export interface LeaseTableSettings {
  readonly create: boolean
  readonly billing: 'on-demand' | { readonly readCapacity: number; readonly writeCapacity: number }
  readonly tags: readonly (readonly [key: string, value: string])[]
  readonly deletionProtection: boolean
}

/** KCL's initialLeaseTableReadCapacity and initialLeaseTableWriteCapacity (LeaseManagementConfig.java). */
const PROVISIONED_CAPACITY = 10
/** https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Tag.html and AWS::DynamoDB::Table Tag in CloudFormation's reference. */
const MOST_TAGS = 50
const LONGEST_TAG_KEY = 128
const LONGEST_TAG_VALUE = 256

/** Throws InvalidOptionError. */
export function checkLeaseTableOptions(given: LeaseTableOptions = {}): LeaseTableSettings {
  const option = 'leaseTableOptions'
  if (typeof given !== 'object' || given === null) throw new InvalidOptionError(option, 'an object', given)
  refuseUnknownOptions(given, ['create', 'billing', 'tags', 'deletionProtection'], option)
  return {
    create: booleanOption(`${option}.create`, given.create, true),
    billing: billingOf(given.billing),
    tags: tagsOf(given.tags),
    deletionProtection: booleanOption(`${option}.deletionProtection`, given.deletionProtection, false),
  }
}

function billingOf(given: LeaseTableOptions['billing']): LeaseTableSettings['billing'] {
  const option = 'leaseTableOptions.billing'
  if (given === undefined || given === 'on-demand') return 'on-demand'
  if (typeof given !== 'object' || given === null) {
    throw new InvalidOptionError(option, "'on-demand' or { readCapacity, writeCapacity }", given)
  }
  refuseUnknownOptions(given, ['readCapacity', 'writeCapacity'], option)
  const rule = { min: 1, fallback: PROVISIONED_CAPACITY }
  return {
    readCapacity: integerOption(`${option}.readCapacity`, given.readCapacity, rule),
    writeCapacity: integerOption(`${option}.writeCapacity`, given.writeCapacity, rule),
  }
}

function tagsOf(given: LeaseTableOptions['tags']): LeaseTableSettings['tags'] {
  const option = 'leaseTableOptions.tags'
  if (given === undefined) return []
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new InvalidOptionError(option, 'an object of texts by key, such as { team: "flights" }', given)
  }
  const tags = Object.entries(given)
  if (tags.length > MOST_TAGS) throw new InvalidOptionError(option, `at most ${MOST_TAGS} tags`, tags.length)
  for (const [key, value] of tags) {
    if (key.length < 1 || key.length > LONGEST_TAG_KEY || key.startsWith('aws:')) {
      throw new InvalidOptionError(option, `keys of 1 to ${LONGEST_TAG_KEY} characters that do not begin with aws:`, key)
    }
    if (typeof value !== 'string' || value.length > LONGEST_TAG_VALUE) {
      throw new InvalidOptionError(`${option}.${key}`, `a text of up to ${LONGEST_TAG_VALUE} characters`, value)
    }
  }
  return tags
}
