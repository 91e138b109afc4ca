import {
  InvalidArgumentException,
  KinesisServiceException,
  ProvisionedThroughputExceededException,
  ResourceNotFoundException,
} from '@aws-sdk/client-kinesis'
import { InvalidOptionError } from '@shardwise/core/options'
import { DeliveryFailedError, ProducerClosedError, RecordRejectedError, StreamUnusableError } from './producer-error.js'

const THROTTLED = 'ProvisionedThroughputExceededException'

/**
 * What the SDK would raise for the put that failed with `error`: the exception that the service's answer gave where there was one, else
 * one of its class and name with our message, and `error` as its cause. LaneHaltedError and ProducerClosedError stay: the SDK has nothing
 * like them.
 */
export function toSdkError(error: unknown): unknown {
  if (error instanceof RecordRejectedError) return raised('InvalidArgumentException', error, undefined)
  if (error instanceof StreamUnusableError || error instanceof DeliveryFailedError) {
    const original = answered(error)
    if (original !== undefined) return original
    const attempts = error instanceof DeliveryFailedError ? error.attempts : undefined
    return raised(errorCode(error), error, attempts)
  }
  return error
}

/** For the caller of PutRecords: whether the error is one of the whole request, by which the SDK rejects it. */
export function isOfWholeRequest(error: unknown): boolean {
  if (error instanceof StreamUnusableError || error instanceof ProducerClosedError) return true
  return error instanceof DeliveryFailedError && answered(error) !== undefined
}

/** The record's error as an entry of PutRecords' output. */
export function toErrorEntry(error: unknown): { readonly ErrorCode: string; readonly ErrorMessage: string } {
  return { ErrorCode: errorCode(error), ErrorMessage: error instanceof Error ? error.message : String(error) }
}

/** The error that a call to Kinesis rejected with, if that was the reason. */
function answered(error: StreamUnusableError | DeliveryFailedError): Error | undefined {
  let { cause } = error
  while (cause instanceof StreamUnusableError || cause instanceof DeliveryFailedError) ({ cause } = cause)
  // The SDK's "Region is missing", explained.
  if (cause instanceof InvalidOptionError) return cause
  // Ours have codes; those of the SDK, of HTTP and of credentials do not begin like them.
  return cause instanceof Error && !String(Reflect.get(cause, 'code')).startsWith('ERR_SHARDWISE') ? cause : undefined
}

function errorCode(error: unknown): string {
  if (error instanceof RecordRejectedError) return 'InvalidArgumentException'
  if (error instanceof StreamUnusableError) {
    const { serviceCode } = error
    if (serviceCode === 'AutoDistribution') return 'InvalidArgumentException'
    return serviceCode === 'StreamDeleting' || serviceCode === 'StreamCreating' ? 'ResourceNotFoundException' : serviceCode
  }
  if (error instanceof DeliveryFailedError) {
    const cause = answered(error)
    // Nothing of the service's: a lost connection, say. To it an entry's error is one of two.
    if (cause !== undefined && !(cause instanceof KinesisServiceException)) return 'InternalFailure'
    // Never sent: the shard's limit held it back.
    return error.serviceCode ?? THROTTLED
  }
  return error instanceof Error ? error.name : 'InternalFailure'
}

function raised(name: string, cause: Error, attempts: number | undefined): KinesisServiceException {
  const fault = name.startsWith('Internal') ? 'server' : 'client'
  const metadata = { httpStatusCode: fault === 'server' ? 500 : 400, ...(attempts === undefined ? {} : { attempts }) }
  const exception = exceptionOf(name, { message: cause.message, $metadata: metadata, $fault: fault })
  exception.cause = cause
  return exception
}

function exceptionOf(
  name: string,
  given: Pick<KinesisServiceException, 'message' | '$metadata' | '$fault'>,
): KinesisServiceException {
  switch (name) {
    case 'InvalidArgumentException':
      return new InvalidArgumentException(given)
    case THROTTLED:
      return new ProvisionedThroughputExceededException(given)
    case 'ResourceNotFoundException':
      return new ResourceNotFoundException(given)
    default:
      return new KinesisServiceException({ ...given, name })
  }
}
