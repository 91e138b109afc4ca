/** A name and perhaps a value attached to a user record. The format has them; the KPL and KCL of Amazon do not use them. */
export interface Tag {
  readonly key: string
  readonly value?: string | undefined
}

/** What a caller puts: one record of theirs, of which an aggregate carries many. */
export interface UserRecordInput {
  /** Kinesis wants 1 to 256 characters. Lone surrogates are written as U+FFFD. */
  readonly partitionKey: string
  /** Decimal integer from 0 to 2^128-1 that places the record instead of the MD5 of its partition key. */
  readonly explicitHashKey?: string | undefined
  readonly data: Uint8Array
  readonly tags?: readonly Tag[] | undefined
}
