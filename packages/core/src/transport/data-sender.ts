import type { KinesisClient } from '@aws-sdk/client-kinesis'
import type { DataOperation } from './data-operation.js'
import { LeanSender } from './lean-sender.js'
import type { Attempt } from './one-attempt.js'
import type { WireEncoding } from './read-negotiation.js'
import { cborFormat, jsonFormat } from './wire-format.js'

export type SenderChoice = 'lean' | 'sdk'

/** Sends data calls the one way or the other. */
export class DataSender {
  readonly #choice: SenderChoice
  readonly #lean = new Map<KinesisClient, LeanSender<KinesisClient>>()

  constructor(choice: SenderChoice) {
    this.#choice = choice
  }

  /** `encoding`: that which the client speaks. */
  send<Input extends object, Output extends object>(
    operation: DataOperation<KinesisClient, Input, Output>,
    input: Input,
    client: KinesisClient,
    encoding: WireEncoding,
    attempt: Attempt,
  ): Promise<Output> {
    if (this.#choice === 'sdk') return operation.send(client, input, attempt)
    let lean = this.#lean.get(client)
    if (lean === undefined) {
      lean = new LeanSender(client, encoding === 'cbor' ? cborFormat : jsonFormat)
      this.#lean.set(client, lean)
    }
    return lean.send(operation, input, attempt)
  }
}
