import type { ServiceInput, Work } from './faults.js'

export interface PutRecordsEntryInput {
  readonly Data?: Uint8Array
  readonly PartitionKey?: string
  readonly ExplicitHashKey?: string
}

/** Which entries of a PutRecords are refused, and as what. */
export interface EntryRejection {
  readonly when: (entry: PutRecordsEntryInput, index: number) => boolean
  /** Default ProvisionedThroughputExceededException. The service gives these two. */
  readonly code?: 'ProvisionedThroughputExceededException' | 'InternalFailure'
  readonly message?: string
}

interface PutRecordsAnswer {
  readonly FailedRecordCount?: number
  readonly Records: readonly object[]
}

/** PutRecords where some entries are refused: `work` sees the others alone, and the answer has all in the order of the request. */
export function rejectingEntries(rejection: EntryRejection, work: Work): Work {
  const { code = 'ProvisionedThroughputExceededException', message = `${code}, by a fault rule` } = rejection
  return async (input: ServiceInput): Promise<object> => {
    const { Records: entries } = input
    if (!Array.isArray(entries)) return work(input)
    const rejected = entries.map((entry: PutRecordsEntryInput, index) => rejection.when(entry, index))
    const rest = entries.filter((_, index) => rejected[index] !== true)
    // The service refuses a request without entries, so where none is left there is nothing to ask it.
    const answer =
      rest.length === 0 && entries.length > 0 ? { Records: [] } : ((await work({ ...input, Records: rest })) as PutRecordsAnswer)
    const written = answer.Records.values()
    const results = rejected.map((isRejected) =>
      isRejected ? { ErrorCode: code, ErrorMessage: message } : (written.next().value ?? {}),
    )
    return { ...answer, FailedRecordCount: (answer.FailedRecordCount ?? 0) + entries.length - rest.length, Records: results }
  }
}
