import type { CallOptions, ChildShard } from '@shardwise/core/kinesis-port'
import type { Lease } from '../leases/lease.js'
import type { LeaseStore } from '../leases/lease-store.js'
import type { LeasedShards } from '../shards/leased-shards.js'
import type { ConsumedStream } from './consumed-stream.js'

/** The streams that one worker reads, of one lease table. */
export class StreamSet implements LeasedShards {
  readonly #store: LeaseStore
  readonly #streams = new Set<ConsumedStream>()

  constructor(store: LeaseStore) {
    this.#store = store
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

  /** Of all streams, or of one; one listing serves all. When some fail, the others are done, and it rejects with the first failure. */
  async createMissing(options: CallOptions = {}, only?: ConsumedStream): Promise<void> {
    const { leases } = await this.#store.list({ ...options, consistent: true })
    const streams = this.streams.filter((stream) => !stream.leaving && (only === undefined || stream === only))
    const failures: unknown[] = []
    for (const stream of streams) {
      options.signal?.throwIfAborted()
      try {
        stream.identify(leases)
        await stream.discovery!.createMissing({ ...options, leases })
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
