/**
 * An answer the service gives instead of a result: `code` is the error name that SDKs raise (`ResourceNotFoundException`),
 * `statusCode` the HTTP status that goes with it. It never leaves this package: callers meet it as the SDK's own exception.
 */
export class WireError extends Error {
  override readonly name = 'WireError'
  readonly code: string
  readonly statusCode: number

  constructor(code: string, statusCode: number, message: string) {
    super(message)
    this.code = code
    this.statusCode = statusCode
  }
}
