import { connectionFault } from './connection-fault.js'

export type FailureKind =
  | 'throttled'
  | 'expired-iterator'
  | 'not-found'
  | 'access-denied'
  | 'credentials'
  | 'kms'
  | 'kms-throttled'
  | 'invalid'
  | 'in-use'
  | 'limit-exceeded'
  | 'internal'
  | 'connection'
  | 'timeout'
  | 'aborted'
  | 'conditional-check'
  | 'unknown'

/** What a failed call to Kinesis or DynamoDB means to us. */
export interface ServiceFailure {
  readonly kind: FailureKind
  /** The service's name of the error, or the platform's (ECONNREFUSED), or the error's `name`. */
  readonly code: string
  readonly message: string
  /** Whether the same request may succeed later without anyone changing anything. */
  readonly retryable: boolean
  /** `no`: the request certainly took no effect. `unknown`: it may have, for instance when the answer was lost. */
  readonly written: 'no' | 'unknown'
  /** What a person should do. */
  readonly advice: string
}

type Meaning = Omit<ServiceFailure, 'code' | 'message'>

const THROTTLED: Meaning = {
  kind: 'throttled',
  retryable: true,
  written: 'no',
  advice: 'Too many requests for the shard, table or account: send less, add shards or capacity, or ask AWS for a higher quota',
}
const INTERNAL: Meaning = {
  kind: 'internal',
  retryable: true,
  written: 'unknown',
  advice: 'The service failed: try again; if it lasts see https://health.aws.amazon.com',
}
const CREDENTIALS: Meaning = {
  kind: 'credentials',
  retryable: false,
  written: 'no',
  advice: 'Check the AWS credentials: the access key must exist and belong to this account, and the secret must match it',
}
const CREDENTIALS_EXPIRED: Meaning = {
  kind: 'credentials',
  retryable: true,
  written: 'no',
  advice:
    'The credentials have expired: log in again, or pass a provider that renews them (a provider is asked again by the next call)',
}
const CLOCK_SKEW: Meaning = {
  kind: 'credentials',
  retryable: true,
  written: 'no',
  advice: "The request's signature is out of date: set this machine's clock",
}
const CREDENTIALS_MISSING: Meaning = {
  kind: 'credentials',
  retryable: false,
  written: 'no',
  advice:
    'No AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, a role, or the option `credentials`',
}
const ACCESS_DENIED: Meaning = {
  kind: 'access-denied',
  retryable: false,
  written: 'no',
  advice: "Allow the action that the message names in the IAM policy of these credentials, or in the resource's own policy",
}
const NOT_FOUND: Meaning = {
  kind: 'not-found',
  retryable: false,
  written: 'no',
  advice:
    'Check the name, the region, the account and the endpoint, or create it; a stream or table that is being deleted is not found either',
}
const IN_USE: Meaning = {
  kind: 'in-use',
  retryable: true,
  written: 'no',
  advice: 'It exists and is being created, changed or used: wait until its status is ACTIVE',
}
const BEING_DELETED: Meaning = {
  kind: 'in-use',
  retryable: false,
  written: 'no',
  advice: 'It is being deleted: wait until it is gone and create it again, or use another name',
}
const LIMIT_EXCEEDED: Meaning = {
  kind: 'limit-exceeded',
  retryable: true,
  written: 'no',
  advice:
    'A quota of the account is used up, or too many control requests ran at once: try again later, or ask AWS for a higher quota',
}
const INVALID: Meaning = {
  kind: 'invalid',
  retryable: false,
  written: 'no',
  advice: 'The service does not accept the request: the message names the field; check that the endpoint is the right service',
}
const EXPIRED_TOKEN_OF_LIST: Meaning = {
  ...INVALID,
  advice: 'A list was left alone for more than 300 seconds between pages: list from the start',
}
const INVALID_OPTION: Meaning = { ...INVALID, advice: 'Correct the option that the message names' }
const DRY_RUN: Meaning = { ...INVALID, advice: 'DryRun was set: the permissions suffice, and nothing was written' }
const EXPIRED_ITERATOR: Meaning = {
  kind: 'expired-iterator',
  retryable: false,
  written: 'no',
  advice: 'The shard iterator is older than 300 seconds: get a new one after the last record that was fetched',
}
const KMS: Meaning = {
  kind: 'kms',
  retryable: false,
  written: 'no',
  advice:
    "Check the KMS key of the stream's encryption: it must exist, be enabled, and its policy must allow these credentials to use it",
}
const KMS_THROTTLED: Meaning = {
  kind: 'kms-throttled',
  retryable: true,
  written: 'no',
  advice: 'Too many requests to KMS in this account: send less, or ask AWS for a higher KMS quota',
}
const CONDITIONAL_CHECK: Meaning = {
  kind: 'conditional-check',
  retryable: false,
  written: 'no',
  advice: 'The item was changed by someone else: read it again before deciding',
}
const CONFLICT: Meaning = { ...IN_USE, advice: 'Another write to the same item was under way: try again' }
const TIMEOUT: Meaning = {
  kind: 'timeout',
  retryable: true,
  written: 'unknown',
  advice: 'No answer came in time: check the network and the endpoint, or allow a longer request timeout',
}
const NOT_CONNECTED: Meaning = {
  ...TIMEOUT,
  written: 'no',
  advice:
    'No connection was established in time: check the endpoint, network, proxy and firewall, or allow longer with `connectTimeoutMs`',
}
const ABORTED: Meaning = {
  kind: 'aborted',
  retryable: false,
  written: 'unknown',
  advice: 'The call was given up by its own side',
}
const UNREADABLE: Meaning = {
  kind: 'internal',
  retryable: true,
  written: 'unknown',
  advice: 'The answer could not be read: check that the endpoint is the right service and that no proxy changes or cuts answers',
}
const UNKNOWN: Meaning = {
  kind: 'unknown',
  retryable: false,
  written: 'unknown',
  advice: 'This error is not one of the service or the network: see its message and cause',
}

/**
 * Names as the services give them, without the ending `Exception`: both spellings occur (InternalFailure in a PutRecords entry,
 * InternalFailureException from a call).
 * Sources: https://docs.aws.amazon.com/kinesis/latest/APIReference/CommonErrors.html, the Errors section of each action there, and
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
 */
const BY_NAME: ReadonlyMap<string, Meaning> = new Map([
  ...each(THROTTLED, [
    'ProvisionedThroughputExceeded',
    'Throttling',
    'Throttled',
    'RequestThrottled',
    'ThrottledRequest',
    'RequestLimitExceeded',
    'TooManyRequests',
    'BandwidthLimitExceeded',
    'SlowDown',
  ]),
  ...each(EXPIRED_ITERATOR, ['ExpiredIterator']),
  ...each(NOT_FOUND, ['ResourceNotFound', 'TableNotFound']),
  ...each(ACCESS_DENIED, [
    'AccessDenied',
    'NotAuthorized',
    'Unauthorized',
    'UnauthorizedOperation',
    'OptInRequired',
    'SubscriptionRequired',
  ]),
  ...each(CREDENTIALS, [
    'UnrecognizedClient',
    'InvalidClientTokenId',
    'InvalidAccessKeyId',
    'InvalidSignature',
    'SignatureDoesNotMatch',
    'IncompleteSignature',
    'MissingAuthenticationToken',
    'InvalidToken',
    'AuthFailure',
  ]),
  ...each(CREDENTIALS_EXPIRED, ['ExpiredToken', 'TokenRefreshRequired']),
  ...each(CLOCK_SKEW, ['RequestExpired', 'RequestTimeTooSkewed', 'RequestInTheFuture']),
  ...each(CREDENTIALS_MISSING, ['CredentialsProviderError', 'TokenProviderError', 'ProviderError']),
  ...each(KMS, ['KMSAccessDenied', 'KMSDisabled', 'KMSInvalidState', 'KMSNotFound', 'KMSOptInRequired']),
  ...each(KMS_THROTTLED, ['KMSThrottling']),
  ...each(INVALID, [
    'InvalidArgument',
    'Validation',
    'ValidationError',
    'Serialization',
    'UnknownOperation',
    'InvalidAction',
    'InvalidParameterCombination',
    'InvalidParameterValue',
    'InvalidQueryParameter',
    'MalformedQueryString',
    'MissingAction',
    'MissingParameter',
    'RequestEntityTooLarge',
    'ItemCollectionSizeLimitExceeded',
    'InvalidEndpoint',
  ]),
  ...each(EXPIRED_TOKEN_OF_LIST, ['ExpiredNextToken']),
  ...each(INVALID_OPTION, ['InvalidOptionError']),
  ...each(DRY_RUN, ['DryRunOperation']),
  ...each(IN_USE, ['ResourceInUse', 'TableInUse', 'TableAlreadyExists']),
  ...each(CONFLICT, ['TransactionConflict', 'TransactionInProgress', 'ReplicatedWriteConflict']),
  ...each(LIMIT_EXCEEDED, ['LimitExceeded']),
  ...each(INTERNAL, [
    'InternalFailure',
    'InternalServerError',
    'InternalServer',
    'InternalError',
    'ServiceUnavailable',
    'ServiceFailure',
  ]),
  ...each(CONDITIONAL_CHECK, ['ConditionalCheckFailed']),
  ...each(TIMEOUT, ['Timeout', 'TimeoutError', 'RequestTimeout']),
  ...each(ABORTED, ['AbortError']),
])

function each(meaning: Meaning, names: readonly string[]): [string, Meaning][] {
  return names.map((name) => [name, meaning])
}

/** What happened and what to do, as one text for a person. */
export function withAdvice(failure: Pick<ServiceFailure, 'message' | 'advice'>): string {
  return `${failure.message.replace(/\.+$/, '')}. ${failure.advice}`
}

/**
 * Sorts what a call to Kinesis or DynamoDB rejected with, through the SDK or not: service errors by `name`, connection errors by the
 * platform's code wherever it is in the chain of causes, else by the HTTP status. Anything at all may be passed; it never throws.
 */
export function classifyFailure(error: unknown): ServiceFailure {
  const name = text(error, 'name') ?? ''
  const base = name.replace(/^.*#/, '').replace(/Exception$/, '')
  const message = text(error, 'message') ?? (typeof error === 'string' ? error : '')
  const named = BY_NAME.get(base)
  // The SDK calls a reset connection, too, a TimeoutError: there the platform's code knows better. Elsewhere the name does: missing
  // credentials may have an unreachable metadata service as their cause.
  const fault = named === undefined || named === TIMEOUT ? connectionFault(error) : undefined
  if (fault !== undefined) return fault
  const meaning = refined(named, base, message) ?? byStatus(error, name) ?? UNKNOWN
  const code = name === '' || name === 'Error' ? (text(error, 'code') ?? (name || 'Unknown')) : name
  return { ...meaning, code, message: message || code }
}

/** Where the same name stands for two situations that call for different advice. */
function refined(meaning: Meaning | undefined, base: string, message: string): Meaning | undefined {
  if (meaning === IN_USE && /\bDELETING\b|being deleted/i.test(message)) return BEING_DELETED
  if (/^(InvalidSignature|SignatureDoesNotMatch)$/.test(base) && /signature (expired|not yet current)/i.test(message))
    return CLOCK_SKEW
  if (meaning === TIMEOUT && /did not establish a connection|connection timed out/i.test(message)) return NOT_CONNECTED
  return meaning
}

function byStatus(error: unknown, name: string): Meaning | undefined {
  const status = field(field(error, '$metadata'), 'httpStatusCode') ?? field(field(error, '$response'), 'statusCode')
  if (typeof status !== 'number') return name === 'CborError' || field(error, '$response') !== undefined ? UNREADABLE : undefined
  if (status === 429) return THROTTLED
  if (status === 401 || status === 403) return ACCESS_DENIED
  if (status >= 500) return INTERNAL
  if (status >= 400) return INVALID
  return UNREADABLE
}

function field(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
}

function text(value: unknown, key: string): string | undefined {
  const given = field(value, key)
  return typeof given === 'string' ? given : undefined
}
