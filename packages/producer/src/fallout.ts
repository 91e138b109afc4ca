import type { UserRecord } from './user-record.js'

/** Keys that were halted, as the event tells it. */
export interface Halted {
  /** Of a single key. */
  readonly partitionKey: string | undefined
  readonly explicitHashKey: string | undefined
  readonly startingHashKey: bigint
  readonly endingHashKey: bigint
  readonly cause: Error
}

/**
 * What a failure leaves behind. Whoever gathers it puts all queues right and announces nothing; only then are the records failed and the
 * halts told. For listeners may put and resume in the middle of that, and what they put must find its place behind what goes on.
 */
export class Fallout {
  /** Records of the entry that failed which are to be sent again. */
  goOn: readonly UserRecord[] = []
  readonly failed: UserRecord[] = []
  /** Of each of them. */
  readonly errors: Error[] = []
  readonly halted: Halted[] = []

  fail(record: UserRecord, error: Error): void {
    this.failed.push(record)
    this.errors.push(error)
  }
}
