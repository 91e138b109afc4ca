import type { KinesisPort, PutRecordsResult, StreamReference } from '@shardwise/core/kinesis-port'
import { classifyFailure, type ServiceFailure } from '@shardwise/core/service-error'
import type { Entry } from './entry.js'

/** How one PutRecords ended. */
export type RequestOutcome =
  /** One result for each entry, in their order. */
  | { readonly kind: 'answered'; readonly results: readonly PutRecordsResult[] }
  | { readonly kind: 'failed'; readonly failure: ServiceFailure; readonly cause: unknown }
  /** The answer has not one result for each entry, so none can be told from another. */
  | { readonly kind: 'miscounted'; readonly results: number }

/** The only place that waits for PutRecords. One attempt: trying again is for the retry policy to decide (decision 3). */
export class RequestSender {
  readonly #port: KinesisPort
  readonly #stream: StreamReference

  constructor(port: KinesisPort, stream: StreamReference) {
    this.#port = port
    this.#stream = stream
  }

  /** Never rejects. */
  async send(entries: readonly Entry[], signal: AbortSignal): Promise<RequestOutcome> {
    try {
      const { Records: results = [] } = await this.#port.putRecords(
        { ...this.#stream, Records: entries.map((entry) => entry.wire) },
        { signal },
      )
      if (results.length !== entries.length) return { kind: 'miscounted', results: results.length }
      return { kind: 'answered', results }
    } catch (cause) {
      return { kind: 'failed', failure: classifyFailure(cause), cause }
    }
  }
}
