/** The bytes are not CBOR that we read, or the value cannot be written as CBOR. `offset` is where in the bytes, for reading. */
export class CborError extends Error {
  override readonly name = 'CborError'
  readonly code = 'ERR_SHARDWISE_CBOR'
  readonly offset: number | undefined

  constructor(problem: string, offset?: number) {
    super(offset === undefined ? `Cannot write CBOR: ${problem}` : `Not readable as CBOR: ${problem} at byte ${offset}`)
    this.offset = offset
  }
}

/** The API nests five deep. The bound keeps hostile input from exhausting the stack. */
export const MAX_CBOR_DEPTH = 64
