import type { Clock } from '@shardwise/core/clock'
import type { StreamReference } from '@shardwise/core/kinesis-port'
import { CallQuota } from './call-quota.js'
import { invalidArgument, limitExceeded, notFound } from './kinesis-error.js'
import type { OpaqueTokens } from './opaque-token.js'
import type { ShardSubscription } from './shard-subscription.js'
import type { Change, Stream, StreamSettings } from './stream.js'
import type { StreamConsumer } from './stream-consumer.js'
import { noSuchStream, requireActive, settle } from './stream-lifecycle.js'

export interface TransitionTimes {
  readonly create: number
  readonly delete: number
  readonly update: number
  readonly consumer: number
}

export interface AccountOptions {
  readonly clock: Clock
  readonly tokens: OpaqueTokens
  readonly accountId: string
  readonly region: string
  readonly transitionMs: TransitionTimes
  readonly quotas: boolean
  readonly shardLimit: number
}

/** The streams of one account in one region, and the instant at which the present call happens. */
export class Account {
  readonly options: AccountOptions
  readonly streams: Map<string, Stream> = new Map()
  /** The instant of the present call: monotonic and epoch milliseconds. Read once, so that one call sees one time. */
  now = 0
  wallTime = 0
  #incarnations = 0
  /** For each name that was used before: the last second in its sequence numbers. */
  readonly #formerSeconds = new Map<string, number>()
  readonly #consumerSeconds = new Map<string, number>()
  readonly #changed = new Set<ShardSubscription>()
  /** Of RegisterStreamConsumer, which is limited for the account and not for each stream. */
  readonly registerQuota: CallQuota = new CallQuota(5)

  constructor(options: AccountOptions) {
    this.options = options
  }

  get accountId(): string {
    return this.options.accountId
  }

  /** Lets happen what time has brought since the last call. */
  arrive(): void {
    this.now = this.options.clock.now()
    // The API counts whole milliseconds: a lag with a fraction is no Long on the wire.
    const wallTime = this.options.clock.wallTime()
    this.wallTime = Math.floor(wallTime)
    for (const stream of this.streams.values()) {
      stream.consumers.settle(this.now)
      if (stream.state.status === 'ACTIVE' || settle(stream, this.now, wallTime) === 'stays') continue
      this.streams.delete(stream.name)
      this.#formerSeconds.set(stream.name, stream.lastSecond)
      stream.watchers.tell()
    }
  }

  /** Notes that something has changed for a subscription. It is told when the present call is done: see `wake`. */
  changed(subscription: ShardSubscription): void {
    this.#changed.add(subscription)
  }

  /** At the end of every call: tells the subscriptions that it changed something for. They may make calls of their own. */
  wake(): void {
    for (const subscription of this.#changed) {
      this.#changed.delete(subscription)
      subscription.wake()
    }
  }

  /** Consumer ARNs end in the second of their creation; it never comes twice for one name. */
  nextConsumerSecond(arn: string): number {
    const second = Math.max(Math.floor(this.wallTime / 1000), (this.#consumerSeconds.get(arn) ?? 0) + 1)
    this.#consumerSeconds.set(arn, second)
    return second
  }

  /** What sets a new stream apart from one of the same name before it, so that old iterators and sequence numbers do not fit it. */
  nextIncarnation(name: string): { readonly incarnation: number; readonly firstSecond: number } {
    const former = this.#formerSeconds.get(name)
    return { incarnation: ++this.#incarnations, firstSecond: former === undefined ? 0 : former + 1 }
  }

  arnOf(name: string): string {
    return `arn:aws:kinesis:${this.options.region}:${this.accountId}:stream/${name}`
  }

  /** The stream that a request names, by name or ARN or both. */
  stream(reference: StreamReference): Stream {
    const { StreamName: name, StreamARN: arn } = reference
    if (arn === undefined) {
      if (name === undefined) throw invalidArgument('Either StreamName or StreamARN should be provided.')
      return this.streamNamed(name)
    }
    const named = arn.slice(arn.indexOf(':stream/') + ':stream/'.length)
    if (name !== undefined && name !== named) {
      throw invalidArgument(`StreamName ${name} and StreamARN ${arn} do not name the same stream.`)
    }
    const stream = this.streams.get(named)
    if (stream?.arn !== arn) throw notFound(`Stream ${arn} under account ${this.accountId} not found.`)
    return stream
  }

  streamNamed(name: string): Stream {
    const stream = this.streams.get(name)
    if (stream === undefined) throw noSuchStream(name, this.accountId)
    return stream
  }

  /** The consumer that an ARN names. */
  consumer(arn: string): { readonly stream: Stream; readonly consumer: StreamConsumer } {
    const stream = this.streams.get(/:stream\/([^/]+)\/consumer\//.exec(arn)?.[1] ?? '')
    const consumer = stream?.consumers.withArn(arn)
    if (stream === undefined || consumer === undefined) {
      throw notFound(`Consumer ${arn} under account ${this.accountId} not found.`)
    }
    return { stream, consumer }
  }

  activeStream(reference: StreamReference): Stream {
    const stream = this.stream(reference)
    requireActive(stream, this.accountId)
    return stream
  }

  /** Changes settings the way the service does: UPDATING first, then the new settings. */
  updateSettings(stream: Stream, settings: Partial<StreamSettings>): void {
    this.beginUpdate(stream, [{ at: this.now + this.options.transitionMs.update, kind: 'settings', settings }])
  }

  beginUpdate(stream: Stream, changes: readonly Change[]): void {
    stream.state = { status: 'UPDATING', changes }
  }

  get openShardCount(): number {
    let count = 0
    for (const stream of this.streams.values()) count += stream.shardsCounted
    return count
  }

  requireShards(additional: number): void {
    const { shardLimit, region } = this.options
    const present = this.openShardCount
    if (present + additional <= shardLimit) return
    throw limitExceeded(
      `This request would exceed the shard limit for the account ${this.accountId} in ${region}. Current shard count for the account: ` +
        `${present}. Limit: ${shardLimit}. Number of additional shards that would have resulted from this request: ${additional}. ` +
        'Refer to the AWS Service Limits page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits ' +
        'and how to request higher limits.',
    )
  }
}
