import type { Position } from '../../checkpoints/position.js'
import type { HeldLease } from '../held-lease.js'

/** What is pending after an operation: the number in its state, or nothing. */
type Pending = number | undefined

interface Operation {
  readonly leaves: Pending
  landed: boolean
}

/** One acquisition of one lease: what it found, and what it asked for since. */
interface Acquisition {
  readonly found: Pending
  readonly operations: Operation[]
  /** Index of the last operation that the next owner may have seen, once there is one. */
  seen: number | undefined
}

/** What the owners of all leases have prepared, committed and overtaken, and what their successors must therefore find. */
export class PreparedHistory {
  readonly #byLease = new Map<string, Map<number, Acquisition>>()
  readonly #problem: (what: string) => void
  #number = 0
  /** Acquisitions that found something prepared by another. */
  found = 0

  constructor(problem: (what: string) => void) {
    this.#problem = problem
  }

  /** `lease` is held from now on. */
  acquired(lease: HeldLease): void {
    const { leaseKey, generation, pendingCheckpoint } = lease
    const found = pendingCheckpoint?.state?.reduce((number, byte) => number * 256 + byte, 0)
    if (found !== undefined) this.found++
    const acquisitions = this.#byLease.get(leaseKey) ?? new Map<number, Acquisition>()
    this.#byLease.set(leaseKey, acquisitions)
    const before = acquisitions.get(Math.max(...[...acquisitions.keys()].filter((other) => other < generation)))
    acquisitions.set(generation, { found, operations: [], seen: undefined })
    if (before === undefined) {
      if (found !== undefined) this.#problem(`${leaseKey} begins with ${found} prepared by nobody`)
      return
    }
    const lastLanded = before.operations.findLastIndex(({ landed }) => landed)
    let seen = before.operations.findLastIndex(({ leaves }) => leaves === found)
    if (seen < 0 && before.found === found) seen = -1
    else if (seen < 0) this.#problem(`${leaseKey}: generation ${generation} found ${found}, which its owner before never left`)
    if (seen < lastLanded) this.#problem(`${leaseKey}: generation ${generation} found ${found}, and not what landed after it`)
    before.seen = seen
  }

  /** Prepares a checkpoint at `position` and resolves when that has landed. */
  prepare(lease: HeldLease, position: Position): Promise<void> {
    const number = ++this.#number
    const state = new Uint8Array([number >> 16, number >> 8, number].map((part) => part & 255))
    return this.#follow(lease, number, () => lease.checkpointNow(lease.resumeFrom, { position, state }))
  }

  /** A commit, or any other checkpoint. */
  checkpoint(lease: HeldLease, position: Position, now: boolean): Promise<void> {
    return this.#follow(lease, undefined, async () => (now ? lease.checkpointNow(position) : lease.checkpoint(position)), now)
  }

  async #follow(lease: HeldLease, leaves: Pending, act: () => Promise<void>, lands = true): Promise<void> {
    const { leaseKey, generation } = lease
    const acquisition = this.#byLease.get(leaseKey)!.get(generation)!
    const operation = { leaves, landed: false }
    const index = acquisition.operations.push(operation) - 1
    await act()
    if (!lands) return
    operation.landed = true
    if (acquisition.seen !== undefined && acquisition.seen < index) {
      this.#problem(`${leaseKey}: generation ${generation} left ${leaves} after the next owner had looked`)
    }
  }
}
