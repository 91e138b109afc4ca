/** A call this package cannot carry out as asked, a mistake in the calling code. Data that was read never causes it. */
export class AggregationError extends TypeError {
  override readonly name = 'AggregationError'
  readonly code = 'ERR_SHARDWISE_AGGREGATION'
}

/** What a value is, for a message: short, and never its content beyond a number or a small string. */
export function described(value: unknown): string {
  if (value === null || value === undefined || typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return value.length > 40 ? `a string of ${value.length} characters` : JSON.stringify(value)
  if (typeof value !== 'object') return `a ${typeof value}`
  return Object.prototype.toString.call(value).slice('[object '.length, -1)
}
