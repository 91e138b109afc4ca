/**
 * The service calls it approximate, and tells it in milliseconds by one of its protocols and in whole seconds by the other, cut off or rounded:
 * two workers may have read it a second apart. A name is not free again so soon.
 */
const SLACK_MS = 1_000

/** Whether these are the creation of one and the same stream. Epoch milliseconds; undefined: the service does not say. */
export function isSameCreation(one: number | undefined, other: number | undefined): boolean {
  return one === undefined || other === undefined ? one === other : Math.abs(one - other) <= SLACK_MS
}

/** Whether `one` is certainly the creation of a stream that was there before the other. */
export function isFormerCreation(one: number | undefined, other: number | undefined): boolean {
  return one !== undefined && other !== undefined && one < other && !isSameCreation(one, other)
}
