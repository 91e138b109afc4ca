/** As the AWS SDK makes it. */
export function abortError(operation: string, signal: AbortSignal): Error {
  return Object.assign(new Error(`${operation} was aborted`, { cause: signal.reason }), { name: 'AbortError' })
}
