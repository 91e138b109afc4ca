import type { CallOptions, ChildShard } from '@shardwise/core/kinesis-port'
import type { Lease } from '../leases/lease.js'
import type { LeaseStore } from '../leases/lease-store.js'
import { isSameCreation } from '../shards/creation-time.js'
import type { LeasedShards } from '../shards/leased-shards.js'
import type { CreateMissingOptions } from '../shards/shard-discovery.js'
import type { ConsumedStream } from './consumed-stream.js'
import { parseStreamId } from './stream-identifier.js'

/** The streams that one worker reads, of one lease table. */
export class StreamSet implements LeasedShards {
  readonly #store: LeaseStore
  readonly #succeeded: (stream: ConsumedStream) => void
  readonly #streams = new Set<ConsumedStream>()

  /** `succeeded`: is told as long as the table has leases of a later stream with this one's name. */
  constructor(store: LeaseStore, succeeded: (stream: ConsumedStream) => void = () => {}) {
    this.#store = store
    this.#succeeded = succeeded
  }

  /** All, those that are leaving included. */
  get streams(): readonly ConsumedStream[] {
    return [...this.#streams]
  }

  /** Described. */
  add(stream: ConsumedStream): void {
    this.#streams.add(stream)
  }

  /** Nothing works on it any more. */
  delete(stream: ConsumedStream): void {
    this.#streams.delete(stream)
  }

  /** Whose lease it is. */
  of({ streamId }: { readonly streamId?: string | undefined }): ConsumedStream | undefined {
    for (const stream of this.#streams) if (stream.discovery !== undefined && stream.streamId === streamId) return stream
    return undefined
  }

  reads(lease: Pick<Lease, 'streamId'>): boolean {
    return this.of(lease)?.leaving === false
  }

  /** Of all streams, or of one; one listing serves all. */
  async createMissing(options: CreateMissingOptions = {}, only?: ConsumedStream): Promise<void> {
    const { leases } = await this.#store.list({ ...options, consistent: true })
    await this.#each(options, only, async (stream) => {
      stream.identify(leases)
      await stream.discovery!.createMissing({ ...options, seen: leasesOf(stream, leases) })
    })
  }

  async audit(leases: readonly Lease[], options: CallOptions = {}): Promise<void> {
    await this.#each(options, undefined, async (stream) => {
      // Not, where it could not be identified yet: that takes a look at the table itself.
      if (stream.discovery === undefined) await this.createMissing(options, stream)
      else await stream.discovery.audit(leasesOf(stream, leases), options)
    })
  }

  watch(leases: readonly Lease[]): boolean {
    let soon = false
    for (const stream of this.#streams) {
      if (!stream.leaving && isSucceeded(stream, leases)) this.#succeeded(stream)
      if (!stream.leaving && stream.discovery?.watch(leasesOf(stream, leases)) === true) soon = true
    }
    return soon
  }

  /** When some fail, the others are done, and it rejects with the first failure. */
  async #each(
    options: CallOptions,
    only: ConsumedStream | undefined,
    act: (stream: ConsumedStream) => Promise<void>,
  ): Promise<void> {
    const failures: unknown[] = []
    for (const stream of this.streams) {
      options.signal?.throwIfAborted()
      // Looked at in its turn: removed meanwhile, its leases may have been deleted, and would be created again.
      const isOurs = this.#streams.has(stream) && !stream.leaving
      if (!isOurs || (only !== undefined && stream !== only)) continue
      try {
        await act(stream)
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }

  async childrenOf(parent: Pick<Lease, 'shardId' | 'streamId'>, options: CallOptions = {}): Promise<readonly ChildShard[]> {
    return (await this.of(parent)?.discovery?.childrenOf(parent, options)) ?? []
  }
}

function leasesOf({ streamId }: ConsumedStream, leases: readonly Lease[]): readonly Lease[] {
  return leases.filter((lease) => lease.streamId === streamId)
}

/**
 * Its shards may give no hint: a worker that has none of them would take those that the others have left, and read the present stream under
 * leases of the former one, beside whoever has its own.
 */
function isSucceeded(stream: ConsumedStream, leases: readonly Lease[]): boolean {
  const own = stream.streamId === undefined ? undefined : parseStreamId(stream.streamId)
  if (own === undefined || stream.createdAt === undefined) return false
  for (const { streamId, streamCreatedAt } of leases) {
    if (streamId === undefined || streamId === stream.streamId || !(streamCreatedAt! > stream.createdAt)) continue
    const other = parseStreamId(streamId)
    if (other?.name !== own.name || other.accountId !== own.accountId) continue
    if (!isSameCreation(streamCreatedAt, stream.createdAt)) return true
  }
  return false
}
