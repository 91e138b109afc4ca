/** A refusal as the service words it. `code` is the exact error name that SDKs turn into an exception class of that name. */
export class KinesisModelError extends Error {
  override readonly name = 'KinesisModelError'
  readonly code: string
  /** The HTTP status that the service sends with it: 400 for the caller's faults, 500 for its own. */
  readonly statusCode: number

  constructor(code: string, message: string, statusCode = 400) {
    super(message)
    this.code = code
    this.statusCode = statusCode
  }
}

export function invalidArgument(message: string): KinesisModelError {
  return new KinesisModelError('InvalidArgumentException', message)
}

export function notFound(message: string): KinesisModelError {
  return new KinesisModelError('ResourceNotFoundException', message)
}

export function inUse(message: string): KinesisModelError {
  return new KinesisModelError('ResourceInUseException', message)
}

export function limitExceeded(message: string): KinesisModelError {
  return new KinesisModelError('LimitExceededException', message)
}

export function throughputExceeded(message: string): KinesisModelError {
  return new KinesisModelError('ProvisionedThroughputExceededException', message)
}

export function validationFailed(message: string): KinesisModelError {
  return new KinesisModelError('ValidationException', message)
}
