import type { KinesisClient } from '@aws-sdk/client-kinesis'
import type { Clock } from '../clock.js'
import type { CallOptions } from '../kinesis-port.js'
import { abortError, boundedCall } from './bounded-call.js'
import { type ControlRetry, withControlRetry } from './control-retry.js'
import { explained } from './endpoint.js'
import type { Attempt } from './one-attempt.js'
import type { ReadNegotiation, WireEncoding } from './read-negotiation.js'

export type Send<Output> = (client: KinesisClient, attempt: Attempt, encoding: WireEncoding) => Promise<Output>

export interface KinesisCallsOptions {
  readonly clientSpeaking: (encoding: WireEncoding) => KinesisClient
  readonly negotiation: ReadNegotiation
  readonly retry: ControlRetry
  readonly clock: Clock
  readonly timeoutMs: number
  readonly maxAnswerBytes: number
}

/** The ways in which an operation is called: once, once in the encoding of reads, or again while its failure may pass. */
export class KinesisCalls {
  readonly #options: KinesisCallsOptions

  constructor(options: KinesisCallsOptions) {
    this.#options = options
  }

  once<Output>(name: string, encoding: WireEncoding, call: CallOptions, send: Send<Output>): Promise<Output> {
    const { clientSpeaking, clock, timeoutMs, maxAnswerBytes } = this.#options
    return boundedCall((attempt) => send(clientSpeaking(encoding), attempt, encoding), {
      name,
      clock,
      timeoutMs: call.timeoutMs ?? timeoutMs,
      firstByteTimeoutMs: call.firstByteTimeoutMs,
      signal: call.signal,
      maxAnswerBytes,
    }).catch((error: unknown) => {
      throw explained(error)
    })
  }

  async read<Output>(name: string, kind: 'control' | 'records', call: CallOptions, send: Send<Output>): Promise<Output> {
    const { negotiation } = this.#options
    const encoding = negotiation.encodingFor(kind)
    try {
      const output = await this.once(name, encoding, call, send)
      negotiation.accepted(encoding)
      return output
    } catch (error) {
      if (!negotiation.fallsBack(encoding, error)) throw error
      return this.once(name, 'json', call, send)
    }
  }

  /** What came after an answer in this encoding cannot be decoded: reads go on in JSON, unless they already do. */
  unreadable(encoding: WireEncoding): void {
    this.#options.negotiation.distrust(encoding)
  }

  control<Output>(name: string, call: CallOptions, send: Send<Output>): Promise<Output> {
    return this.retried(name, call, () => this.read(name, 'control', call, send))
  }

  /** Tries again while the failure may pass by itself, unless it is one that `isFinal` for this call. */
  async retried<Output>(
    name: string,
    call: CallOptions,
    attempt: () => Promise<Output>,
    isFinal: (error: unknown) => boolean = () => false,
  ): Promise<Output> {
    try {
      return await withControlRetry(this.#options.retry, call.signal, attempt, isFinal)
    } catch (error) {
      if (call.signal?.aborted === true) throw abortError(name, call.signal)
      throw error
    }
  }
}
