import { type Clock, systemClock } from '@shardwise/core/clock'
import { booleanOption, integerOption, refuseUnknownOptions, stringOption } from '@shardwise/core/options'
import { type Random, systemRandom } from '@shardwise/core/random'
import { Account, type TransitionTimes } from './account.js'
import { KinesisModelError } from './kinesis-error.js'
import { OpaqueTokens } from './opaque-token.js'
import { operations } from './operations.js'

export interface KinesisModelOptions {
  /** Quotas and transitions follow its `now()`; time stamps, retention and the age of iterators its `wallTime()`. Default: the machine's. */
  readonly clock?: Clock
  /** Where the secret inside iterators comes from. Default: the platform's; give a seeded one for repeatable runs. */
  readonly random?: Random
  /** Twelve digits. Default '000000000000'. */
  readonly accountId?: string
  /** Default 'us-east-1'. */
  readonly region?: string
  /**
   * How long, in milliseconds, a stream stays CREATING, DELETING and UPDATING, and a consumer CREATING and DELETING (`consumer`). Default
   * 100 each (the service takes tens of seconds). With 0 the next call finds it done.
   */
  readonly transitionMs?: Partial<TransitionTimes>
  /** Whether new streams limit their shards' throughput as the service does. Default true. See `setQuotas`. */
  readonly quotas?: boolean
  /** Open shards in the account. Default 20,000, as in us-east-1. */
  readonly shardLimit?: number
}

/**
 * Amazon Kinesis Data Streams as a pure model: it does no I/O and has no timer. What time brings (a stream becomes ACTIVE, records
 * expire, quotas refill) is computed when a call comes, from the clock; the same calls at the same times give the same answers. Records
 * are kept in memory for the stream's retention period.
 *
 * SubscribeToShard answers with the subscription, a plain object too, where the API has a stream of events: see `ShardSubscription`.
 *
 * Simplified against the service, besides speed: no throttling of control-plane calls (but those on consumers) and of GetShardIterator, any
 * number of streams may be in creation at once, on-demand streams keep their number of shards, arrival times never decrease within a shard. `StreamId` and warm throughput have no effect.
 */
export class KinesisModel {
  readonly #account: Account

  constructor(options: KinesisModelOptions = {}) {
    refuseUnknownOptions(options.transitionMs ?? {}, ['create', 'delete', 'update', 'consumer'], 'transitionMs')
    const transition = (key: keyof TransitionTimes): number =>
      integerOption(`transitionMs.${key}`, options.transitionMs?.[key], { min: 0, fallback: 100 })
    this.#account = new Account({
      clock: options.clock ?? systemClock,
      tokens: new OpaqueTokens(options.random ?? systemRandom),
      accountId: stringOption('accountId', options.accountId, {
        pattern: /^\d{12}$/,
        says: 'twelve digits',
        fallback: '000000000000',
      }),
      region: stringOption('region', options.region, {
        pattern: /^[a-z0-9-]+$/,
        says: 'the name of a region',
        fallback: 'us-east-1',
      }),
      transitionMs: {
        create: transition('create'),
        delete: transition('delete'),
        update: transition('update'),
        consumer: transition('consumer'),
      },
      quotas: booleanOption('quotas', options.quotas, true),
      shardLimit: integerOption('shardLimit', options.shardLimit, { min: 1, fallback: 20_000 }),
    })
  }

  /**
   * One API call. Input and output have the API's own shapes (PascalCase), with `Data` as Uint8Array and time stamps as Date. The data of
   * accepted records is copied, so the caller may reuse its buffers; the data of answers belongs to the model and must not be
   * written to. Throws KinesisModelError.
   */
  call(operation: string, input: unknown): object {
    const run = operations.get(operation)
    if (run === undefined) throw new KinesisModelError('UnknownOperationException', `Unknown operation ${operation}`)
    this.#account.arrive()
    try {
      return run(this.#account, input)
    } finally {
      this.#account.wake()
    }
  }

  /**
   * Lifts (`false`) or restores the throughput quotas of one stream's shards, how often its consumers may subscribe and be managed, and the
   * daily limit of its UpdateShardCount. Records that were accepted stay. Throws ResourceNotFoundException for a stream that does not exist.
   */
  setQuotas(streamName: string, on: boolean): void {
    this.#account.arrive()
    const stream = this.#account.streamNamed(streamName)
    stream.quotas = on
    stream.watchers.tell()
    this.#account.wake()
  }
}
