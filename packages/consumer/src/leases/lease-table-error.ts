/** The DynamoDB table cannot hold this application's leases. Nothing was read or written. Choose another table or repair this one. */
export class LeaseTableError extends Error {
  override readonly name = 'LeaseTableError'
  readonly code = 'ERR_SHARDWISE_LEASE_TABLE'
  readonly tableName: string

  constructor(tableName: string, problem: string, options: { readonly cause?: unknown } = {}) {
    super(`Lease table \`${tableName}\` ${problem}`, options)
    this.tableName = tableName
  }
}
