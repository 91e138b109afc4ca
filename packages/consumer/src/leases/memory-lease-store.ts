import type { HashKeyRange } from '@shardwise/core/hash-key'
import { formatPosition, type Position } from '../checkpoints/position.js'
import { hasEnded, type Lease, type NewLease, shardIdOf } from './lease.js'
import type { LeaseDeletion, LeaseHandOver, LeaseListing, LeaseRenewal, LeaseStore, LeaseWrite } from './lease-store.js'
import {
  endChange,
  fillRangeChange,
  handOverChange,
  type LeaseChange,
  type LeaseCondition,
  renewChange,
  requestHandoffChange,
  takeChange,
  untouchedCondition,
  withdrawHandoffChange,
} from './lease-writes.js'

/** Leases in this process's memory: for one process, and for tests. Several coordinators may share one. Nothing survives the process. */
export class MemoryLeaseStore implements LeaseStore {
  readonly #rows = new Map<string, Lease>()

  async open(): Promise<void> {}

  async list(): Promise<LeaseListing> {
    return { leases: [...this.#rows.values()], malformed: [] }
  }

  async read(leaseKey: string): Promise<Lease | undefined> {
    return this.#rows.get(leaseKey)
  }

  async create(lease: NewLease): Promise<boolean> {
    if (this.#rows.has(lease.leaseKey)) return false
    this.#rows.set(lease.leaseKey, rowOf(lease, 0))
    return true
  }

  async replace(lease: Lease, by: NewLease): Promise<LeaseWrite> {
    const row = this.#rows.get(lease.leaseKey)
    if (row === undefined || !holds(untouchedCondition(lease), row)) return { done: false, lease: row }
    const replaced = rowOf(by, lease.leaseCounter + 1)
    this.#rows.set(lease.leaseKey, replaced)
    return { done: true, lease: replaced }
  }

  async take(lease: Lease, workerId: string): Promise<LeaseWrite> {
    return this.#apply(takeChange(lease, workerId))
  }

  async renew(lease: Lease, workerId: string, progress: LeaseRenewal): Promise<LeaseWrite> {
    return this.#apply(renewChange(lease, workerId, progress))
  }

  async handOver(lease: Lease, workerId: string, last: LeaseHandOver): Promise<LeaseWrite> {
    return this.#apply(handOverChange(lease, workerId, last))
  }

  async end(lease: Lease, workerId: string, childShardIds: readonly string[]): Promise<LeaseWrite> {
    return this.#apply(endChange(lease, workerId, childShardIds))
  }

  async requestHandoff(lease: Lease, to: string): Promise<LeaseWrite> {
    return this.#apply(requestHandoffChange(lease, to))
  }

  async withdrawHandoff(lease: Lease, to: string): Promise<LeaseWrite> {
    return this.#apply(withdrawHandoffChange(lease, to))
  }

  async fillRange(lease: Lease, range: HashKeyRange): Promise<LeaseWrite> {
    return this.#apply(fillRangeChange(lease, range))
  }

  async delete(lease: Lease): Promise<LeaseDeletion> {
    const row = this.#rows.get(lease.leaseKey)
    if (row === undefined || !holds(untouchedCondition(lease), row)) return { done: false, lease: row }
    this.#rows.delete(lease.leaseKey)
    return { done: true }
  }

  #apply({ leaseKey, where, set }: LeaseChange): LeaseWrite {
    const row = this.#rows.get(leaseKey)
    if (row === undefined || !holds(where, row)) return { done: false, lease: row }
    const lease = { ...row, ...set }
    this.#rows.set(leaseKey, lease)
    return { done: true, lease }
  }
}

function rowOf(lease: NewLease, leaseCounter: number): Lease {
  return {
    ...lease,
    shardId: shardIdOf(lease),
    streamId: lease.streamId,
    streamCreatedAt: lease.streamCreatedAt,
    leaseOwner: undefined,
    checkpointOwner: undefined,
    shardwiseOwner: undefined,
    nextOwner: undefined,
    leaver: undefined,
    leaseCounter,
    ownerSwitchesSinceCheckpoint: 0,
    pendingCheckpoint: undefined,
    childShardIds: [],
  }
}

function holds(where: LeaseCondition, row: Lease): boolean {
  return (
    (where.leaseCounter === undefined || row.leaseCounter === where.leaseCounter) &&
    (!('leaseOwner' in where) || row.leaseOwner === where.leaseOwner) &&
    (!('checkpointOwner' in where) || row.checkpointOwner === where.checkpointOwner) &&
    (!('shardwiseOwner' in where) || row.shardwiseOwner === where.shardwiseOwner) &&
    (where.actualOwner === undefined || (row.checkpointOwner ?? row.leaseOwner) === where.actualOwner) &&
    (where.ended === undefined || hasEnded(row) === where.ended) &&
    (where.checkpoint === undefined || sameCheckpoint(where.checkpoint, row.checkpoint)) &&
    (!('range' in where) || row.range === undefined)
  )
}

function sameCheckpoint(a: Position, b: Position): boolean {
  return formatPosition(a).checkpoint === formatPosition(b).checkpoint
}
