import type { ManualClock, Scheduled } from '@shardwise/core/clock'
import type { FanOutPort, ShardSubscription, SubscribeToShardEvent, SubscribeToShardInput } from '@shardwise/core/fan-out-port'
import type {
  CallOptions,
  ChildShard,
  GetRecordsInput,
  GetRecordsOutput,
  GetShardIteratorInput,
  KinesisRecord,
  ShardListing,
} from '@shardwise/core/kinesis-port'

/** An error as the SDK raises it. */
export function failure(name: string, message = 'said the service'): Error {
  return Object.assign(new Error(message), { name })
}

export const CHILDREN: readonly ChildShard[] = [
  { ShardId: 'child', ParentShards: ['shard'], HashKeyRange: { StartingHashKey: '0', EndingHashKey: '9' } },
]

type Refusal = Error | 'silence'

/**
 * One shard of the service, as SubscribeToShard and GetRecords show it, with its rules about who may subscribe when; and with faults on
 * demand. It stands on a manual clock, and has no timer but while an event is waited for.
 */
export class PushedShard implements Pick<FanOutPort, 'subscribeToShard'> {
  readonly inputs: SubscribeToShardInput[] = []
  readonly subscriptions: PushedSubscription[] = []
  /** Attempts that the service's rules refuse: five seconds after a success, or more than one a second. */
  provoked = 0
  /** For the next attempts, in order. */
  refusals: Refusal[] = []
  /** Refuses all attempts. */
  refusesAll: Error | undefined
  /** New subscriptions are accepted and say nothing. */
  isMute = false
  /** The shard is closed, and whoever reads to its end is told its children. */
  tellsChildren = true
  listings: (readonly ShardListing[] | Error)[] = []
  eventRecords = 3
  reads = 0
  readFailure: Error | undefined
  readonly records: KinesisRecord[] = []
  closed = false
  trimmedBefore = 0
  readonly clock: ManualClock
  #lastSuccess = Number.NEGATIVE_INFINITY
  #lastCall = Number.NEGATIVE_INFINITY
  #next = 100

  constructor(clock: ManualClock) {
    this.clock = clock
  }

  get open(): number {
    return this.subscriptions.filter(({ over }) => !over).length
  }

  /** The one that events come by. */
  get live(): PushedSubscription | undefined {
    return this.subscriptions.findLast(({ over }) => !over)
  }

  /** Records with ascending numbers, ten apart. */
  write(count: number, bytes = 10): void {
    for (let i = 0; i < count; i++) {
      this.#next += 10
      this.records.push({ SequenceNumber: `${this.#next}`, PartitionKey: 'a', Data: new Uint8Array(bytes) })
    }
    this.live?.wake()
  }

  /** Time goes on in the shard, though nothing is written. */
  pass(): void {
    this.#next += 10
  }

  close(): void {
    this.closed = true
    this.live?.wake()
  }

  async subscribeToShard(
    input: SubscribeToShardInput,
    { signal, timeoutMs = 30_000 }: CallOptions = {},
  ): Promise<ShardSubscription> {
    signal?.throwIfAborted()
    this.inputs.push(input)
    const now = this.clock.now()
    const tooOften = now - this.#lastCall < 1_000
    const tooSoon = now - this.#lastSuccess < 5_000
    this.#lastCall = now
    if (tooOften || tooSoon) this.provoked++
    const refusal = this.refusesAll ?? this.refusals.shift()
    if (refusal === 'silence') return this.#noAnswer(timeoutMs, signal)
    if (refusal !== undefined) throw refusal
    if (tooOften) throw failure('LimitExceededException')
    if (tooSoon) throw failure('ResourceInUseException')
    this.#lastSuccess = now
    this.live?.break(failure('ResourceInUseException', 'Another active subscription exists for this consumer'))
    const subscription = new PushedSubscription(
      this,
      this.indexOf(input.StartingPosition.Type, input.StartingPosition.SequenceNumber),
    )
    subscription.stalled = this.isMute
    signal?.addEventListener('abort', () => subscription.close(), { once: true })
    this.subscriptions.push(subscription)
    return subscription
  }

  /** Somebody else subscribes to it. */
  takeOver(): void {
    this.#lastSuccess = this.clock.now()
    this.live?.break(failure('ResourceInUseException'))
  }

  async getShardIterator(input: GetShardIteratorInput): Promise<{ ShardIterator: string }> {
    return { ShardIterator: `${this.indexOf(input.ShardIteratorType, input.StartingSequenceNumber)}` }
  }

  async getRecords({ ShardIterator }: GetRecordsInput): Promise<GetRecordsOutput> {
    this.reads++
    if (this.readFailure !== undefined) throw this.readFailure
    const from = Number(ShardIterator)
    const Records = this.records.slice(from, from + this.eventRecords)
    const next = from + Records.length
    if (this.isEnd(next)) return { Records, MillisBehindLatest: 0, ...(this.tellsChildren && { ChildShards: CHILDREN }) }
    return { Records, NextShardIterator: `${next}`, MillisBehindLatest: next < this.records.length ? 1_000 : 0 }
  }

  async listShards(): Promise<{ Shards: readonly ShardListing[] }> {
    const answer = this.listings.length > 1 ? this.listings.shift()! : (this.listings[0] ?? this.#listing())
    if (answer instanceof Error) throw answer
    return { Shards: answer }
  }

  isEnd(index: number): boolean {
    return this.closed && index >= this.records.length
  }

  indexOf(type: string, sequenceNumber: string | undefined): number {
    if (type === 'LATEST') return this.records.length
    if (sequenceNumber === undefined) return this.trimmedBefore
    const number = BigInt(sequenceNumber)
    const found = this.records.findIndex(({ SequenceNumber }) =>
      type === 'AT_SEQUENCE_NUMBER' ? BigInt(SequenceNumber!) >= number : BigInt(SequenceNumber!) > number,
    )
    return Math.max(this.trimmedBefore, found < 0 ? this.records.length : found)
  }

  /** What an event says to go on after, from this index on. */
  continuation(index: number): string {
    return index < this.records.length ? this.records[index - 1]!.SequenceNumber! : `${this.#next}`
  }

  #noAnswer(timeoutMs: number, signal: AbortSignal | undefined): Promise<never> {
    return new Promise((_, reject) => {
      const timer = this.clock.schedule(timeoutMs, () => reject(failure('TimeoutError')))
      const abort = (): void => {
        timer.cancel()
        reject(failure('AbortError'))
      }
      signal?.addEventListener('abort', abort, { once: true })
    })
  }

  #listing(): ShardListing[] {
    const self = { ShardId: 'shard', SequenceNumberRange: { ...(this.closed && { EndingSequenceNumber: `${this.#next}` }) } }
    return this.closed ? [self, { ShardId: 'child', ParentShardId: 'shard' }] : [self]
  }
}

const LIFETIME_MS = 300_000
const HEART_BEAT_MS = 5_000

export class PushedSubscription implements ShardSubscription {
  readonly shard: PushedShard
  over = false
  /** Events ago that the reader was told all there is: a fault would bring them again. */
  index: number
  /** It says nothing any more. */
  stalled = false
  asked = 0
  /** By its reader. */
  closed = false
  #endsWith: Error | undefined
  #ends = false
  readonly #endsAt: number
  #waiting: { readonly settle: () => void; readonly timer: Scheduled } | undefined

  constructor(shard: PushedShard, index: number) {
    this.shard = shard
    this.index = index
    this.#endsAt = shard.clock.now() + LIFETIME_MS
  }

  async next(): Promise<SubscribeToShardEvent | undefined> {
    this.asked++
    const since = this.shard.clock.now()
    while (!this.over) {
      const now = this.shard.clock.now()
      if (this.#endsWith !== undefined) {
        this.over = true
        throw this.#endsWith
      }
      if (!this.stalled) {
        if (this.#ends || now >= this.#endsAt) {
          this.over = true
          return undefined
        }
        const event = this.#event(now - since >= HEART_BEAT_MS)
        if (event !== undefined) return event
      }
      await this.#wait()
    }
    throw failure('AbortError')
  }

  close(): void {
    this.closed = true
    this.over = true
    this.wake()
  }

  break(error: Error): void {
    this.#endsWith = error
    this.wake()
  }

  /** The service ends it in good order. */
  end(): void {
    this.#ends = true
    this.wake()
  }

  wake(): void {
    this.#waiting?.timer.cancel()
    this.#waiting?.settle()
    this.#waiting = undefined
  }

  #event(beat: boolean): SubscribeToShardEvent | undefined {
    const { shard } = this
    const Records = shard.records.slice(this.index, this.index + shard.eventRecords)
    const next = this.index + Records.length
    if (shard.isEnd(next)) {
      this.index = next
      this.#ends = true
      return { Records, MillisBehindLatest: 0, ...(shard.tellsChildren && { ChildShards: CHILDREN }) }
    }
    if (Records.length === 0 && !beat && this.asked > 1) return undefined
    this.index = next
    return {
      Records,
      ContinuationSequenceNumber: shard.continuation(next),
      MillisBehindLatest: next < shard.records.length ? 1_000 : 0,
    }
  }

  #wait(): Promise<void> {
    return new Promise((settle) => {
      // A stalled one needs no timer: it waits for its end.
      const timer = this.shard.clock.schedule(this.stalled ? LIFETIME_MS * 10 : 1_000, () => this.wake())
      this.#waiting = { settle, timer }
    })
  }
}
