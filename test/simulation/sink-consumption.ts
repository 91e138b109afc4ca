import type { Consumer, ShardStream } from '@shardwise/consumer'
import { sleep } from '@shardwise/core/clock'
import type { Network } from './network.js'
import { type RecordHandling, type RecordHandlingOptions, streamIn } from './record-handling.js'
import type { RecordSink, SinkPlace } from './record-sink.js'
import type { SimulatedProcess } from './simulated-process.js'
import type { Copy } from './stream-log.js'

export interface SinkConsumptionOptions extends Pick<RecordHandlingOptions, 'process' | 'trace'> {
  readonly sink: RecordSink
  readonly network: Network
}

const AGAIN_AFTER_MS = 300

/** A loop for each shard, whose records go to a sink together with their place. Its transactions travel as all requests do, and may come late. */
export class SinkConsumption {
  readonly #consumer: Consumer<unknown>
  readonly #handling: RecordHandling
  readonly #options: SinkConsumptionOptions
  readonly #process: SimulatedProcess

  constructor(consumer: Consumer<unknown>, handling: RecordHandling, options: SinkConsumptionOptions) {
    this.#consumer = consumer
    this.#handling = handling
    this.#options = options
    this.#process = options.process
  }

  async run(): Promise<void> {
    for await (const shard of this.#consumer.shards()) {
      this.#work(shard).catch((error: Error) => {
        this.#options.trace(`${this.#process.name} leaves ${shard.shardId} (generation ${shard.generation}): ${error.name}`)
      })
    }
  }

  async #work(shard: ShardStream<unknown>): Promise<void> {
    const { sink } = this.#options
    const { shardId, generation } = shard
    const { random } = this.#process
    // A stream that was created anew has other records in a shard of the same name.
    const row = `${streamIn(shard.stream)} ${shard.streamCreatedAt?.getTime()} ${shardId}`
    shard.startAfter(await this.#patiently(shard, 'claim', () => sink.claim(row, generation)))
    const maxRecords = 1 + Math.floor(random() * 20)
    const maxWaitMs = random() < 0.5 ? 0 : Math.floor(random() * 200)
    for await (const batch of shard.batches({ maxRecords, maxWaitMs })) {
      const call = this.#handling.begin(batch, shard)
      try {
        if (!(await call.work())) throw new Error('The sink refuses, by the weather')
        if (call.copies.length > 0) await this.#commit(row, generation, call.copies)
        call.complete()
      } finally {
        call.end()
      }
      if (random() < 0.2) await shard.checkpoint()
    }
    if (shard.ended) await shard.checkpoint()
  }

  /** Whether one that was not answered has taken place nobody knows: then the shard is left, and the sink asked when it comes again. */
  #commit(row: string, generation: number, copies: readonly Copy[]): Promise<void> {
    return this.#send('commit', () => this.#options.sink.commit(row, generation, copies))
  }

  async #patiently(
    shard: ShardStream<unknown>,
    operation: string,
    work: () => SinkPlace | undefined,
  ): Promise<SinkPlace | undefined> {
    for (;;) {
      try {
        return await this.#send(operation, work)
      } catch (error) {
        if ((error as Error).name === 'FencedError' || shard.signal.aborted) throw error
        await sleep(this.#process.clock, AGAIN_AFTER_MS)
      }
    }
  }

  #send<T>(operation: string, work: () => T): Promise<T> {
    const { network } = this.#options
    return network.send({
      process: this.#process,
      service: 'sink',
      operation,
      about: '',
      work,
      signal: undefined,
      timeoutMs: 3_000,
    })
  }
}
