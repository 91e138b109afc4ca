/**
 * What two records must share to be of one key: the partition key and the explicit hash key, if any. Not the partition key alone: with
 * different explicit hash keys its records lie in different shards, whose records no reader can bring into one order.
 *
 * The separator is half of a surrogate pair, which no partition key may contain, so that no key looks like two.
 */
export function recordKey(record: { readonly partitionKey: string; readonly explicitHashKey: string | undefined }): string {
  const { partitionKey, explicitHashKey } = record
  return explicitHashKey === undefined ? partitionKey : `${explicitHashKey}\ud800${partitionKey}`
}
