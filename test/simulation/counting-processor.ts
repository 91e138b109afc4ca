import type {
  InitializationInput,
  LeaseLostInput,
  ProcessorShard,
  ProcessRecordsInput,
  ShardEndedInput,
  ShardRecordProcessor,
  ShutdownRequestedInput,
} from '@shardwise/consumer'
import type { FleetSettings } from './fleet-settings.js'
import type { RecordHandling } from './record-handling.js'

type Callback = 'initialize' | 'processRecords' | 'shutdownRequested' | 'leaseLost' | 'shardEnded'

/** The KCL's record processor. It checkpoints when it likes to, and watches over the order of its callbacks. */
export class CountingProcessor implements ShardRecordProcessor<unknown> {
  readonly #shard: ProcessorShard
  readonly #handling: RecordHandling
  readonly #settings: FleetSettings
  readonly #violated: (what: string) => void
  #running: Callback | undefined
  #last: Callback | undefined

  constructor(
    shard: ProcessorShard,
    handling: RecordHandling,
    { settings, violated }: { readonly settings: FleetSettings; readonly violated: (what: string) => void },
  ) {
    this.#shard = shard
    this.#handling = handling
    this.#settings = settings
    this.#violated = violated
  }

  initialize({ extendedSequenceNumber }: InitializationInput): void {
    this.#begins('initialize')
    if (extendedSequenceNumber.sequenceNumber === 'SHARD_END') this.#says('is to begin at SHARD_END')
    this.#ended()
  }

  async processRecords({ records, checkpointer, signal }: ProcessRecordsInput<unknown>): Promise<void> {
    this.#begins('processRecords')
    const { shardId, generation } = this.#shard
    const call = this.#handling.begin(records, { shardId, generation, signal })
    try {
      if (!(await call.work())) throw new Error('processRecords fails, by the weather')
      // Not each time, as applications do: what is behind the last checkpoint comes again. And also when stop's time is over, if it still can.
      const checkpoints = records.length % this.#settings.checkpointsEvery === 0
      if (checkpoints) call.vouch()
      else call.complete()
      call.tenure.callsInHand++
      if (checkpoints) await checkpointer.checkpoint().catch(unlessLost(signal))
      call.tenure.callsInHand--
    } finally {
      this.#ended()
    }
  }

  async shutdownRequested({ checkpointer, signal }: ShutdownRequestedInput): Promise<void> {
    this.#begins('shutdownRequested')
    await checkpointer.checkpoint().catch(unlessLost(signal))
    this.#ended()
  }

  leaseLost(_: LeaseLostInput): void {
    this.#begins('leaseLost')
    this.#ended()
  }

  async shardEnded({ checkpointer, signal }: ShardEndedInput): Promise<void> {
    this.#begins('shardEnded')
    await checkpointer.checkpoint().catch(unlessLost(signal))
    this.#ended()
  }

  #begins(callback: Callback): void {
    if (this.#running !== undefined) this.#says(`has ${callback} called while ${this.#running} runs`)
    if (this.#last === 'leaseLost') this.#says(`has ${callback} called after leaseLost`)
    if (this.#last === 'shardEnded' && callback !== 'shardEnded' && callback !== 'leaseLost')
      this.#says(`has ${callback} called after shardEnded`)
    if (this.#last === undefined && callback !== 'initialize') this.#says(`has ${callback} called before initialize`)
    if (this.#last === 'shutdownRequested' && callback === 'processRecords')
      this.#says('is given records after shutdownRequested')
    this.#running = callback
  }

  #ended(): void {
    this.#last = this.#running
    this.#running = undefined
  }

  #says(what: string): void {
    const { stream, shardId, generation } = this.#shard
    this.#violated(`the processor of ${stream} ${shardId} (generation ${generation}) ${what}`)
  }
}

/** A checkpoint that is not written because the shard is lost, or the consumer stops, is nobody's fault. */
function unlessLost(signal: AbortSignal): (error: unknown) => void {
  return (error) => {
    const name = error instanceof Error ? error.name : ''
    if (!signal.aborted && name !== 'LeaseLostError' && name !== 'ConsumerStoppingError') throw error
  }
}
