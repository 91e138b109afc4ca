import { DeliveryFailedError, LaneHaltedError, RecordRejectedError, StreamUnusableError } from './producer-error.js'

/** Why a user record finally failed, in a word: for what counts and logs failures, where messages would tell the partition key. */
export type FailureReason = DeliveryFailedError['reason'] | 'lane-halted' | 'stream-unusable' | 'rejected' | 'unknown'

export function failureReason(error: Error): FailureReason {
  if (error instanceof DeliveryFailedError) return error.reason
  if (error instanceof LaneHaltedError) return 'lane-halted'
  if (error instanceof StreamUnusableError) return 'stream-unusable'
  return error instanceof RecordRejectedError ? 'rejected' : 'unknown'
}
