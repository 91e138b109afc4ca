import type { KinesisPort, PutRecordsOutput, StreamReference } from '@shardwise/core/kinesis-port'

/** What a PutRecords answer says of all its records. */
export interface AnswerFacts {
  readonly metadata: object
  readonly encryptionType: string | undefined
}

/** Places remembered: more than the answers that come in between an answer and the settlement of its records. */
const MOST_PLACES = 2000

const NOTHING: AnswerFacts = { metadata: { httpStatusCode: 200 }, encryptionType: undefined }

/**
 * Remembers of recent PutRecords answers, by the places that they name, what a put's result leaves out and the SDK's output has. Records are
 * settled right after their answer, but for those that wait for a newer shard map: these may find theirs forgotten, and then it is not known.
 */
export class AnswerLog {
  readonly #places = new Map<string, AnswerFacts>()

  /** The port, overheard. */
  overhear(port: KinesisPort): KinesisPort {
    return {
      ...port,
      putRecords: async (input, options) => {
        const output = await port.putRecords(input, options)
        this.#note(input, output)
        return output
      },
    }
  }

  /** `shared`: others may ask for the same place, an aggregate's. */
  factsOf(stream: string, place: { readonly shardId: string; readonly sequenceNumber: string }, shared: boolean): AnswerFacts {
    const key = keyOf(stream, place.shardId, place.sequenceNumber)
    const facts = this.#places.get(key)
    if (!shared) this.#places.delete(key)
    return facts ?? NOTHING
  }

  #note(
    { StreamName, StreamARN }: StreamReference,
    output: PutRecordsOutput & { readonly $metadata?: object; readonly EncryptionType?: string },
  ): void {
    const stream = StreamName ?? StreamARN ?? ''
    const { Records = [], $metadata: metadata = NOTHING.metadata, EncryptionType: encryptionType } = output
    const facts: AnswerFacts = { metadata, encryptionType }
    for (const { ShardId, SequenceNumber } of Records) {
      if (ShardId !== undefined && SequenceNumber !== undefined) this.#places.set(keyOf(stream, ShardId, SequenceNumber), facts)
    }
    for (const key of this.#places.keys()) {
      if (this.#places.size <= MOST_PLACES) break
      this.#places.delete(key)
    }
  }
}

/** Sequence numbers of two streams may be the same. */
function keyOf(stream: string, shardId: string, sequenceNumber: string): string {
  return `${stream}/${shardId}/${sequenceNumber}`
}
