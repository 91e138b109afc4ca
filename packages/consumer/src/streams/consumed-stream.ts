import type { Clock } from '@shardwise/core/clock'
import type { FanOutPort } from '@shardwise/core/fan-out-port'
import type { CallOptions, KinesisPort, StreamReference } from '@shardwise/core/kinesis-port'
import { streamReference } from '@shardwise/core/kinesis-port'
import type { Random } from '@shardwise/core/random'
import { describeStream } from '@shardwise/core/stream-description'
import type { Lease } from '../leases/lease.js'
import type { LeaseEvent } from '../leases/lease-event.js'
import type { LeaseStore } from '../leases/lease-store.js'
import { LeaseTableError } from '../leases/lease-table-error.js'
import type { RetrievalSettings } from '../retrieval-option.js'
import { ShardDiscovery } from '../shards/shard-discovery.js'
import { sharedAbort } from '../shared-abort.js'
import { type RegistrationEvent, StreamRegistration } from '../sources/stream-registration.js'
import type { StartRetriedEvent } from '../start-event.js'
import { StopLimit } from '../stop-limit.js'
import { identify } from './stream-identifier.js'
import type { StreamSettings } from './stream-settings.js'

export interface ConsumedStreamOptions {
  readonly settings: StreamSettings
  /** Its leases say of which stream they are. */
  readonly amongSeveral: boolean
  readonly kinesis: KinesisPort
  readonly store: LeaseStore
  readonly leaseTable: string
  readonly retrieval: RetrievalSettings
  /** Given where `retrieval` is fan-out. */
  readonly fanOut: FanOutPort | undefined
  readonly clock: Clock
  readonly random: Random
  readonly emit: (event: LeaseEvent | RegistrationEvent | StartRetriedEvent) => void
}

/** What the service says of it. */
interface Described {
  readonly arn: string | undefined
  readonly accountId: string | undefined
  /** Epoch milliseconds, whole seconds: by one of its protocols the service says no more. */
  readonly createdAt: number | undefined
}

/** One stream that this worker reads. Describe it, then identify it by the leases in the table. */
export class ConsumedStream {
  readonly reference: StreamReference
  /** No leases of it are taken any more. */
  leaving = false
  /** By which its shards are subscribed to. Undefined: they are polled. */
  readonly registration: StreamRegistration | undefined
  /** How long handlers have when it is left. */
  readonly limit: StopLimit
  readonly #options: ConsumedStreamOptions
  #doubt: AbortController | undefined
  #described: Described | undefined
  #streamId: string | undefined
  #discovery: ShardDiscovery | undefined

  constructor(options: ConsumedStreamOptions) {
    this.#options = options
    this.reference = streamReference(options.settings.stream)
    this.registration = this.#registration()
    this.limit = new StopLimit(options.clock, `The consumer stops reading ${options.settings.stream}`)
  }

  /**
   * Another stream may have taken its name: until that is known, and this aborts, none of its shards is asked for, for it would be the other's.
   * Undefined: nothing hints at that. Who waits goes on at once then: a shard that is gone gives the next hint a moment later.
   */
  get doubt(): AbortSignal | undefined {
    return this.#doubt?.signal
  }

  set isDoubtful(is: boolean) {
    if (is) {
      this.#doubt ??= sharedAbort()
      return
    }
    this.#doubt?.abort()
    this.#doubt = undefined
  }

  get settings(): StreamSettings {
    return this.#options.settings
  }

  /** Undefined also as long as it is not identified. */
  get streamId(): string | undefined {
    return this.#streamId
  }

  get discovery(): ShardDiscovery | undefined {
    return this.#discovery
  }

  /** Undefined as long as it is not described, and where the service does not say. */
  get arn(): string | undefined {
    return this.#described?.arn
  }

  /** Epoch milliseconds. Undefined as long as it is not described, and where the service does not say. */
  get createdAt(): number | undefined {
    return this.#described?.createdAt
  }

  /** Rejects as the service does, and where the stream cannot be read as it is. */
  async describe(options: CallOptions): Promise<void> {
    const { kinesis, settings } = this.#options
    const { status, arn, createdAt } = await describeStream(kinesis, this.reference, options)
    if (status === 'CREATING') {
      throw Object.assign(new Error(`Stream ${settings.stream} is being created`), { name: 'ResourceInUseException' })
    }
    if (status === 'DELETING') throw new DeletingStreamError(settings.stream)
    const seconds = createdAt === undefined ? undefined : Math.floor(createdAt.getTime() / 1_000)
    this.#described = { arn, accountId: arn?.split(':')[4], createdAt: seconds === undefined ? undefined : seconds * 1_000 }
  }

  /** `leases`: all of the table. Throws LeaseTableError when it cannot be told which of them are this stream's. */
  identify(leases: readonly Lease[]): void {
    const { settings, amongSeveral } = this.#options
    if (this.#discovery !== undefined) return
    const { createdAt } = this.#described!
    const other = leases.find(({ streamId }) => (streamId === undefined) === amongSeveral)
    if (other !== undefined) {
      const [form, wanted] = amongSeveral ? ['one stream', 'several streams'] : ['several streams', 'one stream']
      throw new LeaseTableError(
        this.#options.leaseTable,
        `has the lease ${other.leaseKey} in the form for ${form}, and cannot hold those of a consumer of ${wanted} too. Name another table`,
      )
    }
    if (!amongSeveral) {
      this.#discover(undefined, false)
      return
    }
    const { accountId } = this.#described!
    if (accountId === undefined || (createdAt === undefined && settings.creationEpoch === undefined)) {
      throw new LeaseTableError(
        this.#options.leaseTable,
        `needs the account and the creation time of stream ${settings.stream} for its keys, and DescribeStreamSummary does not tell them. Check ` +
          'that the endpoint is a Kinesis endpoint',
      )
    }
    const ids = leases.flatMap(({ streamId }) => streamId ?? [])
    const { name, creationEpoch } = settings
    const found = identify({ accountId, name, createdAt: createdAt ?? 0, creationEpoch }, new Set(ids))
    if (found.kind === 'ambiguous') {
      throw new LeaseTableError(
        this.#options.leaseTable,
        `has leases of a stream ${accountId}:${name} with the creation epoch ${found.epoch}, which is no time before the stream's creation ` +
          `(${createdAt}), so it cannot be told whether they are of stream ${settings.stream} or of another that had its name. Give the stream ` +
          `\`creationEpoch: ${found.epoch}\` to go on from them, or name another table, or delete these leases`,
      )
    }
    this.#discover(found.streamId, found.former)
  }

  #registration(): StreamRegistration | undefined {
    const { settings, retrieval, fanOut: port, clock, random, emit } = this.#options
    if (retrieval.is === 'polling') return undefined
    const arn = settings.consumerArn ?? retrieval.consumerArn
    return new StreamRegistration({
      port: port!,
      stream: settings.stream,
      streamArn: () => this.arn,
      consumer: arn === undefined ? { name: retrieval.consumerName, register: retrieval.register } : { arn },
      isOptional: retrieval.fallbackToPolling,
      clock,
      random,
      emit,
    })
  }

  #discover(streamId: string | undefined, succeeds: boolean): void {
    const { settings, kinesis, store, clock, emit } = this.#options
    const { createdAt } = this.#described!
    this.#streamId = streamId
    this.#discovery = new ShardDiscovery({
      kinesis,
      stream: this.reference,
      store,
      initialPosition: settings.initialPosition,
      streamId,
      createdAt,
      succeeds,
      clock,
      emit,
    })
  }
}

/** The stream is on its way out. */
export class DeletingStreamError extends Error {
  override readonly name = 'DeletingStreamError'

  constructor(stream: string) {
    super(`Stream ${stream} is being deleted`)
  }
}
