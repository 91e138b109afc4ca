import type { CallOptions, DescribeStreamSummaryOutput, KinesisPort, ListShardsOutput } from '@shardwise/core/kinesis-port'

/** The two calls that a producer makes beside PutRecords. */
export type ControlPort = Pick<KinesisPort, 'listShards' | 'describeStreamSummary'>

/**
 * Calls of one at a time, each of which ends in time, whatever the port does: a listing that hangs must not be the last one. The time is that of a
 * call, and so of one page of a listing: 10,000 shards are ten calls.
 */
export class ControlCalls implements ControlPort {
  readonly #port: ControlPort
  readonly #timeoutMs: number
  readonly #now: () => number
  #giveUpAt: number | undefined
  #end: (reason: Error) => void = () => {}

  constructor(port: ControlPort, timeoutMs: number, now: () => number) {
    this.#port = port
    this.#timeoutMs = timeoutMs
    this.#now = now
  }

  /** When `giveUp` has something to do, or undefined. */
  get giveUpAt(): number | undefined {
    return this.#giveUpAt
  }

  listShards(input: Parameters<KinesisPort['listShards']>[0], _options?: CallOptions): Promise<ListShardsOutput> {
    return this.#timed('ListShards', (signal) => this.#port.listShards(input, { signal }))
  }

  describeStreamSummary(
    input: Parameters<KinesisPort['describeStreamSummary']>[0],
    _options?: CallOptions,
  ): Promise<DescribeStreamSummaryOutput> {
    return this.#timed('DescribeStreamSummary', (signal) => this.#port.describeStreamSummary(input, { signal }))
  }

  /** Ends the call whose time is over. */
  giveUp(now: number): void {
    if (this.#giveUpAt === undefined || this.#giveUpAt > now) return
    this.stop(
      Object.assign(new Error(`It was not answered within requestTimeoutMs (${this.#timeoutMs})`), { name: 'TimeoutError' }),
    )
  }

  /** Ends the call under way. */
  stop(reason: Error): void {
    this.#end(reason)
  }

  async #timed<T>(name: string, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const abort = new AbortController()
    this.#giveUpAt = this.#now() + this.#timeoutMs
    const ended = new Promise<never>((_, reject) => {
      this.#end = (reason) => {
        reason.message = `${name}: ${reason.message}`
        abort.abort(reason)
        reject(reason)
      }
    })
    try {
      return await Promise.race([call(abort.signal), ended])
    } finally {
      this.#giveUpAt = undefined
      this.#end = () => {}
    }
  }
}
