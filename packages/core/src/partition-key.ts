import { Buffer } from 'node:buffer'
import { MAX_PARTITION_KEY_CHARACTERS } from './service-limits.js'

/**
 * Bytes of a partition key in UTF-8, 0 if it is none. The service counts Unicode characters, where JavaScript's `length` counts UTF-16 units
 * (API_PutRecordsRequestEntry). A lone surrogate has no UTF-8 form: the key that arrives, and with it the shard, would depend on who encodes it.
 */
export function bytesOfKey(key: string): number {
  const { length } = key
  if (length === 0 || length > 2 * MAX_PARTITION_KEY_CHARACTERS) return 0
  if (length > MAX_PARTITION_KEY_CHARACTERS && [...key].length > MAX_PARTITION_KEY_CHARACTERS) return 0
  return (key as string & { isWellFormed(): boolean }).isWellFormed() ? Buffer.byteLength(key) : 0
}
