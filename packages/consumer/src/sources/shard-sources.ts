import { sleep } from '@shardwise/core/clock'
import type { FanOutPort } from '@shardwise/core/fan-out-port'
import type { KinesisPort, StreamReference } from '@shardwise/core/kinesis-port'
import type { Position } from '../checkpoints/position.js'
import type { ConsumerSettings } from '../consumer-options.js'
import type { HeldLease } from '../leases/held-lease.js'
import type { ReadWatch } from '../shards/read-watch.js'
import type { ShardRoom } from './byte-budget.js'
import { FanOutSource } from './fan-out-source.js'
import { PollingSource } from './polling-source.js'
import { ReadingPlace } from './reading-place.js'
import type { RecordSource, SourceEvent } from './record-source.js'
import type { StreamRegistration } from './stream-registration.js'

export interface ShardSourcesOptions {
  readonly settings: Pick<ConsumerSettings, 'retrieval' | 'idleTimeBetweenReadsMs' | 'maxRecordsPerRead' | 'clock' | 'random'>
  readonly port: KinesisPort
  /** Given where `retrieval` is fan-out. */
  readonly fanOut: FanOutPort | undefined
}

/** One shard, under one lease. */
export interface ShardToRead {
  readonly stream: StreamReference
  /** Given where `retrieval` is fan-out. */
  readonly registration: StreamRegistration | undefined
  readonly lease: Pick<HeldLease, 'shardId' | 'revalidate' | 'confirm'>
  /** Another stream may have taken the name of the one that the lease is of: aborts when that is known. Undefined: it has not. */
  readonly doubt: () => AbortSignal | undefined
  readonly resumeFrom: Position
  /** Epoch milliseconds, see HeldLease. */
  readonly startAt: number | undefined
  readonly room: Pick<ShardRoom, 'enter' | 'settle'>
  readonly reading: Pick<ReadWatch, 'heard'>
  readonly emit: (event: SourceEvent) => void
}

/** Then others who watch hear that who waits is alive, again and again. */
const PATIENCE_MS = 5_000

/** Makes what reads the shards of one consumer, as `retrieval` says. */
export class ShardSources {
  readonly #options: ShardSourcesOptions

  constructor(options: ShardSourcesOptions) {
    this.#options = options
  }

  source(shard: ShardToRead): RecordSource {
    const { settings, port, fanOut } = this.#options
    const { retrieval, idleTimeBetweenReadsMs, maxRecordsPerRead, clock, random } = settings
    const { stream, registration, lease, resumeFrom, startAt, room, reading } = shard
    const { shardId } = lease
    const waits = (): void => reading.heard(clock.now())
    const emit = (event: SourceEvent): void => {
      waits()
      shard.emit(event)
    }
    const certain = async (signal: AbortSignal): Promise<void> => {
      for (let doubt = shard.doubt(); doubt !== undefined; doubt = shard.doubt()) {
        await sleep(clock, PATIENCE_MS, { signal: AbortSignal.any([signal, doubt]) }).catch(() => {})
        signal.throwIfAborted()
        waits()
      }
    }
    const place = new ReadingPlace({ shardId, resumeFrom, startAt, emit })
    const shared = { stream, shardId, place, room, clock, random, emit, certain }
    const polling = (): RecordSource => new PollingSource({ ...shared, port, idleTimeBetweenReadsMs, maxRecordsPerRead })
    if (retrieval.is === 'polling') return polling()
    return new FanOutSource({
      ...shared,
      port: fanOut!,
      registration: registration!,
      control: port,
      lease,
      polling: retrieval.fallbackToPolling ? polling : undefined,
      waits,
    })
  }
}
