import type { KinesisPort, PutRecordsResult, StreamReference } from '@shardwise/core/kinesis-port'
import { classifyFailure, type ServiceFailure } from '@shardwise/core/service-error'
import { Entry } from './entry.js'

/** How one PutRecords ended. */
export type RequestOutcome =
  /** One result for each entry, in their order. */
  | { readonly kind: 'answered'; readonly results: readonly PutRecordsResult[] }
  | { readonly kind: 'failed'; readonly failure: ServiceFailure; readonly cause: unknown }
  /** The answer has not one result for each entry, so none can be told from another. */
  | { readonly kind: 'miscounted'; readonly results: number }

/** One PutRecords under way. */
export interface Request {
  readonly id: number
  readonly entries: readonly Entry[]
  readonly sentAt: number
  readonly abort: AbortController
}

/** The only place that waits for PutRecords. One attempt: trying again is for the retry policy to decide (decision 3). */
export class RequestSender {
  readonly #port: KinesisPort
  readonly #stream: StreamReference
  readonly #timeoutMs: number
  readonly #ended: (request: Request, outcome: RequestOutcome) => void
  /** By time of sending, and so by the time at which they are given up. */
  readonly #underWay = new Set<Request>()
  #nextId = 1

  /** `ended` is called once for each request, never before `send` has returned. */
  constructor(
    port: KinesisPort,
    stream: StreamReference,
    timeoutMs: number,
    ended: (request: Request, outcome: RequestOutcome) => void,
  ) {
    this.#port = port
    this.#stream = stream
    this.#timeoutMs = timeoutMs
    this.#ended = ended
  }

  get underWay(): number {
    return this.#underWay.size
  }

  /** When `giveUp` has something to do, or undefined. */
  get nextTimeout(): number | undefined {
    for (const { sentAt } of this.#underWay) return sentAt + this.#timeoutMs
    return undefined
  }

  send(entries: readonly Entry[], now: number): Request {
    const request: Request = { id: this.#nextId++, entries, sentAt: now, abort: new AbortController() }
    this.#underWay.add(request)
    void this.#call(request).then((outcome) => {
      // Unless it was given up: then its entries went on without it.
      if (this.#underWay.delete(request)) this.#ended(request, outcome)
    })
    return request
  }

  /** Ends the requests whose time is over. */
  giveUp(now: number): void {
    for (const request of this.#underWay) {
      if (request.sentAt + this.#timeoutMs > now) return
      this.#underWay.delete(request)
      leaveBytes(request.entries)
      const cause = new Error(`PutRecords was not answered within requestTimeoutMs (${this.#timeoutMs})`)
      cause.name = 'TimeoutError'
      request.abort.abort(cause)
      this.#ended(request, { kind: 'failed', failure: classifyFailure(cause), cause })
    }
  }

  /** Never rejects. */
  async #call({ entries, abort: { signal } }: Request): Promise<RequestOutcome> {
    try {
      Entry.finish(entries)
      const { Records: results = [] } = await this.#port.putRecords(
        { ...this.#stream, Records: entries.map((entry) => entry.wire) },
        { signal },
      )
      if (results.length !== entries.length) return { kind: 'miscounted', results: results.length }
      return { kind: 'answered', results }
    } catch (cause) {
      const failure = classifyFailure(cause)
      // The connection has the same time for a call as we have, and may be the first to give it up.
      if (failure.kind === 'timeout') leaveBytes(entries)
      return { kind: 'failed', failure, cause }
    }
  }
}

/** Whoever has a request that was given up may go on reading its bytes. */
function leaveBytes(entries: readonly Entry[]): void {
  for (const entry of entries) entry.keepBytes()
}
