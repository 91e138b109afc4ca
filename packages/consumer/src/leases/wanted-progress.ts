import { type PendingCheckpoint, samePending } from '../checkpoints/pending-checkpoint.js'
import { comparePositions, type Position } from '../checkpoints/position.js'
import type { Lease } from './lease.js'
import type { LeaseProgress } from './lease-progress.js'

/** What the owner of a lease wants to stand in its row. The row follows, write by write. */
export class WantedProgress {
  #checkpoint: Position
  #pending: PendingCheckpoint | undefined
  #version = 0

  constructor(row: Pick<Lease, 'checkpoint' | 'pendingCheckpoint'>) {
    this.#checkpoint = row.checkpoint
    this.#pending = row.pendingCheckpoint
  }

  /** Grows with each change. A write that was begun at a version, and has landed, covers all up to it. */
  get version(): number {
    return this.#version
  }

  /** Only forward. What was pending is then overtaken. */
  advance(checkpoint: Position): void {
    if (comparePositions(checkpoint, this.#checkpoint) > 0) this.set(checkpoint, null)
  }

  /** A checkpoint at or before the known one leaves that. False when all of it was wanted before. */
  set(checkpoint: Position, pending: PendingCheckpoint | null): boolean {
    const moves = comparePositions(checkpoint, this.#checkpoint) > 0
    if (!moves && samePending(pending ?? undefined, this.#pending)) return false
    if (moves) this.#checkpoint = checkpoint
    this.#pending = pending ?? undefined
    this.#version++
    return true
  }

  /** What a write must carry for the row to be as wanted. Undefined: it is. */
  missingIn(row: Pick<Lease, 'checkpoint' | 'pendingCheckpoint'>): LeaseProgress | undefined {
    const pending = this.#pending ?? null
    if (comparePositions(this.#checkpoint, row.checkpoint) > 0) return { checkpoint: this.#checkpoint, pending }
    return samePending(this.#pending, row.pendingCheckpoint) ? undefined : { pending }
  }
}
