import type { PutRecordCommandOutput, PutRecordsCommandOutput } from '@aws-sdk/client-kinesis'
import type { AnswerFacts } from './answer-log.js'
import { isOfWholeRequest, toErrorEntry, toSdkError } from './sdk-error.js'
import type { PutResult } from './user-record.js'

/** How one record of a put command ended. */
export type PutOutcome =
  | { readonly kind: 'put'; readonly result: PutResult; readonly facts: AnswerFacts }
  | { readonly kind: 'failed'; readonly error: unknown }

/** As the SDK gives it. Throws what the SDK would raise. */
export function putRecordOutput(outcome: PutOutcome): PutRecordCommandOutput {
  if (outcome.kind === 'failed') throw toSdkError(outcome.error)
  const { result, facts } = outcome
  return {
    ShardId: result.shardId,
    SequenceNumber: result.sequenceNumber,
    ...encryption(facts),
    $metadata: metadata(facts, result.attempts),
  }
}

/**
 * As the SDK gives it: each record has its place or its error, in the order of the request. Throws only if no record was written and each
 * failed with the whole of the request that carried it.
 */
export function putRecordsOutput(outcomes: readonly PutOutcome[]): PutRecordsCommandOutput {
  let attempts = 1
  let failed = 0
  let wholly = 0
  let facts: AnswerFacts = { metadata: { httpStatusCode: 200 }, encryptionType: undefined }
  const Records = outcomes.map((outcome) => {
    if (outcome.kind === 'put') {
      facts = outcome.facts
      attempts = Math.max(attempts, outcome.result.attempts)
      return { SequenceNumber: outcome.result.sequenceNumber, ShardId: outcome.result.shardId }
    }
    failed++
    if (isOfWholeRequest(outcome.error)) wholly++
    return toErrorEntry(outcome.error)
  })
  const [first] = outcomes
  if (wholly === outcomes.length && first?.kind === 'failed') throw toSdkError(first.error)
  return { Records, FailedRecordCount: failed, ...encryption(facts), $metadata: metadata(facts, attempts) }
}

function encryption({ encryptionType }: AnswerFacts): Pick<PutRecordsCommandOutput, 'EncryptionType'> {
  return encryptionType === undefined ? {} : { EncryptionType: encryptionType as 'KMS' | 'NONE' }
}

/** That of the answer that acknowledged the record, with the producer's attempts. How long it waited between them is not known. */
function metadata(facts: AnswerFacts, attempts: number): PutRecordsCommandOutput['$metadata'] {
  const { totalRetryDelay, ...given }: PutRecordsCommandOutput['$metadata'] = facts.metadata
  return attempts > 1 || totalRetryDelay === undefined ? { ...given, attempts } : { ...given, attempts, totalRetryDelay }
}
