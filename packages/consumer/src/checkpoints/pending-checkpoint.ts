import type { Position } from './position.js'

/** A checkpoint that was prepared and neither committed nor overtaken by another: the first half of KCL's two-phase checkpoint. */
export interface PendingCheckpoint {
  readonly position: Position
  /** What was prepared with it: the application's own bytes. */
  readonly state: Uint8Array | undefined
}

export function samePending(a: PendingCheckpoint | undefined, b: PendingCheckpoint | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return samePosition(a.position, b.position) && sameBytes(a.state, b.state)
}

function samePosition(a: Position, b: Position): boolean {
  if (a.kind !== 'sequence' || b.kind !== 'sequence') return a.kind === b.kind
  return a.sequenceNumber === b.sequenceNumber && a.subSequenceNumber === b.subSequenceNumber
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
