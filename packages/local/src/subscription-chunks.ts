import { eventStreamMessage } from './event-stream-message.js'
import { BrokenOff, type WireChunks } from './http-push.js'
import { KinesisModelError } from './model/index.js'
import type { EventSource } from './subscription-reader.js'
import { WireError } from './wire-error.js'
import type { WireFormat } from './wire-format.js'

/** A subscription's events as messages: `initial-response`, then each event, and what ends it otherwise as an exception. */
export class SubscriptionChunks implements WireChunks {
  readonly #source: EventSource
  readonly #format: WireFormat
  #state: 'fresh' | 'open' | 'over' = 'fresh'

  constructor(source: EventSource, format: WireFormat) {
    this.#source = source
    this.#format = format
  }

  async next(): Promise<Uint8Array | undefined> {
    if (this.#state === 'over') return undefined
    if (this.#state === 'fresh') {
      this.#state = 'open'
      return this.#event('initial-response', {})
    }
    try {
      const event = await this.#source.next()
      return event === undefined ? undefined : this.#event('SubscribeToShardEvent', event)
    } catch (error) {
      if (error instanceof BrokenOff) throw error
      this.#state = 'over'
      return this.#exception(error)
    }
  }

  close(): void {
    this.#source.close()
  }

  #event(type: string, content: object): Uint8Array {
    return this.#message({ ':event-type': type, ':message-type': 'event' }, content)
  }

  #exception(error: unknown): Uint8Array {
    const known = error instanceof KinesisModelError || error instanceof WireError
    const type = known ? error.code : 'InternalFailureException'
    const message = error instanceof Error ? error.message : String(error)
    return this.#message({ ':exception-type': type, ':message-type': 'exception' }, { message })
  }

  #message(headers: Readonly<Record<string, string>>, content: object): Uint8Array {
    return eventStreamMessage({ ...headers, ':content-type': this.#format.contentType }, this.#format.write(content))
  }
}
