/**
 * What is noted of a key that the router remembers, `NOTES` numbers from `slot * NOTES` on; all are 0 until it is known.
 *
 * - KEY_BYTES: its bytes in UTF-8, so that it is a partition key and need not be checked again
 * - LAST_AGGREGATE: the serial of the aggregate that it was added to last, and INDEX_THERE its index in that one's key table
 *
 * Measured (`npm run bench -- put-path-repeated --cpu`, see benchmarks/README.md): of a thousand keys that return to four shards two records in
 * five find their key so.
 */
export const KEY_BYTES = 0
export const LAST_AGGREGATE = 1
export const INDEX_THERE = 2
