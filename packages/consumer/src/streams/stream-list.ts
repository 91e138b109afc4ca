import { sleep } from '@shardwise/core/clock'
import { InvalidOptionError, refuseUnknownOptions } from '@shardwise/core/options'
import type { Connections } from '../connections.js'
import { ConsumerRanError } from '../consumer-error.js'
import type { ConsumerEvent } from '../consumer-events.js'
import type { ConsumerSettings } from '../consumer-options.js'
import type { Lease } from '../leases/lease.js'
import { checkConsumerArn } from '../retrieval-option.js'
import { ConsumedStream, type ConsumedStreamOptions } from './consumed-stream.js'
import type { RemovedStream, RemoveStreamOptions, StreamChanges, UnclearLook } from './stream-changes.js'
import { StreamSet } from './stream-set.js'
import { checkDistinct, checkStream, type StreamOptions, type StreamSettings } from './stream-settings.js'

/** While the consumer runs. */
interface Life {
  readonly set: StreamSet
  readonly changes: StreamChanges
}

/** Hints come from every shard of a stream, again and again. */
const BETWEEN_CHECKS_MS = 5_000

/** The streams of a consumer, from its making to its end. */
export class StreamList {
  readonly #settings: ConsumerSettings
  readonly #stop: AbortSignal
  readonly #emit: (event: ConsumerEvent) => void
  #streams: readonly StreamSettings[]
  #connections: Connections | undefined
  #first: ConsumedStream | undefined
  #life: Life | undefined
  /** Infinity while a check is under way, which does not end before it knows. */
  readonly #checkedAt = new Map<string, number>()

  constructor(settings: ConsumerSettings, stop: AbortSignal, emit: (event: ConsumerEvent) => void) {
    this.#settings = settings
    this.#stop = stop
    this.#emit = emit
    this.#streams = settings.streams
  }

  /** By name or ARN, as given. */
  get names(): readonly string[] {
    return this.#streams.map(({ stream }) => stream)
  }

  /** Of the first stream, as soon as it is described. */
  get arn(): string | undefined {
    return this.#first?.arn
  }

  /** Those of now, to be described. */
  open(connections: Connections): StreamSet {
    this.#connections = connections
    const set = new StreamSet(connections.store, ({ settings }) => this.suspect(settings.stream))
    for (const settings of this.#streams) set.add(this.#consumed(settings))
    this.#first = set.streams[0]
    return set
  }

  begin(set: StreamSet, changes: StreamChanges): void {
    this.#life = { set, changes }
  }

  /** As given, where this consumer reads the stream of this lease. */
  nameOf(lease: Pick<Lease, 'streamId'>): string | undefined {
    return this.#life?.set.of(lease)?.settings.stream
  }

  /** As given in the options, where `name` is that or the name of one given by its ARN. */
  nameGiven(name: string | undefined): string | undefined {
    return name === undefined ? undefined : this.#find(name).stream
  }

  async add(given: string | StreamOptions): Promise<void> {
    this.#mayChange()
    const settings = checkStream(given, 'stream', this.#settings.initialPosition)
    checkConsumerArn(settings, this.#settings.retrieval)
    const before = this.#streams
    checkDistinct([...before, settings], 'stream')
    this.#streams = [...before, settings]
    if (this.#life === undefined) return
    try {
      await this.#life.changes.add(this.#consumed(settings))
    } catch (error) {
      this.#streams = this.#streams.filter((each) => each !== settings)
      throw error
    }
    if (!this.#stop.aborted) this.#emit({ type: 'stream-added', stream: settings.stream })
  }

  async remove(name: string, options: RemoveStreamOptions): Promise<RemovedStream> {
    this.#mayChange()
    refuseUnknownOptions(options, ['leases'])
    const { leases = 'keep' } = options
    if (leases !== 'keep' && leases !== 'delete') throw new InvalidOptionError('leases', "'keep' or 'delete'", leases)
    const settings = this.#find(name)
    const { stream } = settings
    this.#streams = this.#streams.filter((each) => each !== settings)
    if (this.#life === undefined) return { deletedLeases: 0 }
    const removed = await this.#life.changes.remove(settings, leases)
    if (!this.#stop.aborted) this.#emit({ type: 'stream-removed', stream, ...removed })
    return removed
  }

  /** Something was seen that would be so if the stream had been deleted and made anew. */
  suspect(stream: string): void {
    const { clock } = this.#settings
    const { set, changes } = this.#life ?? {}
    const consumed = set?.streams.find((each) => each.settings.stream === stream)
    const checkedAt = this.#checkedAt.get(stream) ?? Number.NEGATIVE_INFINITY
    if (consumed === undefined || checkedAt === Number.POSITIVE_INFINITY) return
    this.#checkedAt.set(stream, Number.POSITIVE_INFINITY)
    consumed.isDoubtful = true
    const unclear = ({ failure, retryInMs }: UnclearLook): void => {
      // Nobody may give that permission back for days. To read on, perhaps under leases of the former stream, brings records twice at most; to
      // wait so long may lose them to retention.
      const isRead = failure.kind === 'access-denied'
      consumed.isDoubtful = !isRead
      this.#emit({ type: 'stream-in-doubt', stream, failure, isRead, retryInMs })
    }
    // Never dropped, only put off: it may be the only one.
    void sleep(clock, Math.max(0, checkedAt + BETWEEN_CHECKS_MS - clock.now()), { signal: this.#stop })
      .catch(() => {})
      .then(() => changes!.check(consumed, () => this.#consumed(consumed.settings), unclear))
      .then((recreated) => {
        this.#checkedAt.set(stream, clock.now())
        consumed.isDoubtful = recreated
        if (recreated) this.#emit({ type: 'stream-recreated', stream })
      })
  }

  #consumed(settings: StreamSettings): ConsumedStream {
    const { severalStreams: amongSeveral, leaseTable, retrieval, clock, random } = this.#settings
    const { port: kinesis, fanOut, store } = this.#connections!
    const emit: ConsumedStreamOptions['emit'] = (event) => {
      this.#emit(event)
      // The service deletes a stream's consumers with it.
      if (event.type === 'stream-consumer-lost') this.suspect(event.stream)
    }
    return new ConsumedStream({ settings, amongSeveral, kinesis, store, leaseTable, retrieval, fanOut, clock, random, emit })
  }

  #find(name: string): StreamSettings {
    const [named, another] = this.#streams.filter((each) => each.name === name)
    // Two accounts may have streams of one name.
    const found = this.#streams.find((each) => each.stream === name) ?? (another === undefined ? named : undefined)
    if (found === undefined) throw new InvalidOptionError('stream', `one of ${this.names.join(', ')}`, name)
    return found
  }

  #mayChange(): void {
    if (!this.#settings.severalStreams)
      throw new InvalidOptionError('streams', 'given to the constructor of a consumer whose streams change', undefined)
    if (this.#stop.aborted) throw new ConsumerRanError('`stop` was called: its streams do not change any more')
  }
}
