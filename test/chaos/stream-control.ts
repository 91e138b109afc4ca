import { setTimeout as delay } from 'node:timers/promises'
import type { App } from './app.js'

const PAUSE_MS = 20

export interface OpenShard {
  readonly ShardId: string
  readonly HashKeyRange: { readonly StartingHashKey: string; readonly EndingHashKey: string }
}

/** The stream of a run, by calls of Kinesis' API beside the network and its faults. */
export class StreamControl {
  readonly #kinesis: App
  readonly #stream: string

  constructor(kinesis: App, stream: string) {
    this.#kinesis = kinesis
    this.#stream = stream
  }

  call(operation: string, input: object): Promise<object> {
    return this.#kinesis.ask('model', { operation, input: { StreamName: this.#stream, ...input } })
  }

  async untilActive(): Promise<void> {
    type Summary = { readonly StreamDescriptionSummary: { readonly StreamStatus: string } }
    for (;;) {
      const { StreamDescriptionSummary } = (await this.call('DescribeStreamSummary', {})) as Summary
      if (StreamDescriptionSummary.StreamStatus === 'ACTIVE') return
      await delay(PAUSE_MS)
    }
  }

  /** In order of hash keys. */
  async openShards(): Promise<OpenShard[]> {
    const { Shards } = (await this.call('ListShards', { ShardFilter: { Type: 'AT_LATEST' } })) as { readonly Shards: OpenShard[] }
    const start = ({ HashKeyRange }: OpenShard): bigint => BigInt(HashKeyRange.StartingHashKey)
    return [...Shards].sort((a, b) => (start(a) < start(b) ? -1 : 1))
  }
}
