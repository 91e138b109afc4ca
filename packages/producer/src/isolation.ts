import type { ServiceFailure } from '@shardwise/core/service-error'

/**
 * One record that the service calls invalid fails the whole PutRecords, with up to 499 others that are as they should be: the stream's record size was
 * lowered, say. The message may name the place, but no page promises how. So the request is sent again in halves, and a guilty
 * aggregate as well, until what fails is one user record alone. Half of the halves pass at once: among 500 entries one guilty record takes
 * some 20 requests to find.
 *
 * A request that was refused for another record's sake does not count against `retry.maxAttempts`.
 */

/** Errors that may be about one record. Others that mean an invalid call, such as an unknown operation, are about the call. */
const OF_RECORDS = /^(InvalidArgument|Validation|ValidationError|Serialization|RequestEntityTooLarge)(Exception)?$/

export function mayBlameOne(failure: Pick<ServiceFailure, 'kind' | 'code'>): boolean {
  return failure.kind === 'invalid' && OF_RECORDS.test(failure.code)
}

/** The most entries that one of a refused request may share its next one with, itself counted. */
export function companyAfter(entries: number): number {
  return Math.max(1, Math.floor(entries / 2))
}

/** In order. The first is not the smaller one. */
export function halves<T>(items: readonly T[]): (readonly T[])[] {
  const middle = Math.ceil(items.length / 2)
  return items.length < 2 ? [items] : [items.slice(0, middle), items.slice(middle)]
}
