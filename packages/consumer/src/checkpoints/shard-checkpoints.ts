import type { RecordPosition } from '../delivery/completed-prefix.js'
import type { HeldLease } from '../leases/held-lease.js'
import { type CheckpointRange, type CheckpointTarget, laterPosition, positionInRange, positionOf } from './checkpoint-range.js'
import type { Checkpointer } from './checkpointer.js'
import type { PendingCheckpoint } from './pending-checkpoint.js'
import { comparePositions, type Position, sequencePosition, TRIM_HORIZON } from './position.js'

/** A checkpoint that was prepared: it stands in the lease, undecided. */
export interface PreparedCheckpoint {
  /** Where it is. */
  readonly position: Position
  /**
   * Makes it the checkpoint, written at once. The rules of `checkpoint` hold: RangeError when a later one was made meanwhile. A checkpoint that
   * was prepared after this one and lies beyond it stays prepared.
   */
  commit(): Promise<void>
}

/** A checkpoint that the shard's owner before us has prepared and nobody has decided on. */
export interface FoundCheckpoint extends PendingCheckpoint {
  /** Whether the record lies up to it. */
  covers(record: CheckpointTarget): boolean
}

export interface ShardCheckpointsOptions {
  /** Name or ARN. */
  readonly stream: string
  readonly lease: Pick<HeldLease, 'shardId' | 'generation' | 'resumeFrom' | 'pendingCheckpoint' | 'checkpointNow'>
  /** Gets each completed position. Undefined: the handler makes the checkpoints. */
  readonly automatic: Pick<Checkpointer, 'completed'> | undefined
  /** Calls run side by side, so that only the completed prefix is sure, and nothing in hand. */
  readonly sideBySide: boolean
}

/** DynamoDB allows an item 400 KB, and every renewal pays for all of it, by the KB. */
const MAX_STATE_BYTES = 65_536

/** What of one shard is delivered, completed and checkpointed, and the checkpoints that its handler makes. */
export class ShardCheckpoints {
  readonly #options: ShardCheckpointsOptions
  /** The last one accepted: it stands in the row, or is on its way. */
  #last: Position
  /** The end of the completed prefix, and of the call in hand. */
  #completed: Position
  #inHand: Position | undefined
  /** By this handler, neither decided on nor overtaken. */
  #prepared: PendingCheckpoint | undefined
  /** By an owner before us, while nothing has overtaken it. */
  #inherited: PendingCheckpoint | undefined
  #confirmed: Position | undefined
  #closed: unknown
  #report: () => void = () => {}
  #landing = new AbortController()

  constructor(options: ShardCheckpointsOptions) {
    const { resumeFrom, pendingCheckpoint } = options.lease
    this.#options = options
    this.#last = resumeFrom
    this.#completed = resumeFrom
    this.#confirmed = resumeFrom
    this.#inherited = pendingCheckpoint
  }

  get generation(): number {
    return this.#options.lease.generation
  }

  /** What an owner before us has prepared, as long as nothing has overtaken it. */
  get found(): FoundCheckpoint | undefined {
    if (this.#inherited !== undefined) this.#report()
    const found = this.#inherited
    return found && { ...found, covers: (record) => comparePositions(positionOf(record), found.position) <= 0 }
  }

  /**
   * As HandlerContext has it, of a call with `last` as its last record: a checkpoint without a record goes no further. Undefined: no such bound.
   */
  async checkpoint(record?: CheckpointTarget, last?: RecordPosition): Promise<void> {
    this.#begin()
    await this.#write(positionInRange(this.#range(), record ?? this.#default(last)), undefined)
  }

  /** Likewise. */
  async prepareCheckpoint(record?: CheckpointTarget, state?: Uint8Array, last?: RecordPosition): Promise<PreparedCheckpoint> {
    this.#begin()
    const position = positionInRange(this.#range(), record ?? this.#default(last))
    const pending = { position, state: checkedState(state) }
    const moot = pending.state === undefined && this.#prepared === undefined && comparePositions(position, this.#last) === 0
    if (!moot) {
      this.#accept(this.#last, pending)
      await this.#options.lease.checkpointNow(this.#last, pending)
    }
    return { position, commit: () => this.#commit(pending) }
  }

  /** What is completed may be told late: `report` tells all of it, and is called before a checkpoint of the handler goes by it. */
  reportedBy(report: () => void): void {
    this.#report = report
  }

  /** A call begins whose last record is this; undefined: it has failed, and will be repeated. */
  inHand(position: RecordPosition | undefined): void {
    if (this.#options.sideBySide) return
    this.#inHand = position && sequencePosition(position.sequenceNumber, position.subSequenceNumber)
  }

  /** The completed prefix has grown by `records`, up to this one. */
  completed(position: RecordPosition, records: number): void {
    const { automatic } = this.#options
    if (this.#closed !== undefined) return
    const completed = sequencePosition(position.sequenceNumber, position.subSequenceNumber)
    this.#completed = completed
    if (automatic === undefined) return
    this.#accept(completed, undefined)
    automatic.completed(completed, records)
  }

  /**
   * The checkpoint that was found says nothing about this shard: reading has begun at its oldest record. The row keeps it until records have
   * passed it.
   */
  forget(): void {
    this.startAt(TRIM_HORIZON)
  }

  /** Reading begins after another position than the checkpoint, which stays: a checkpoint before it leaves the row as it is. */
  startAt(position: Position): void {
    this.#last = position
    this.#completed = position
    this.#confirmed = position
  }

  /** The last accepted checkpoint. */
  get last(): Position {
    return this.#last
  }

  /** The handler has checkpointed what is not completed: it was in hand and the call failed, or it is what an owner before has prepared. */
  get isAhead(): boolean {
    return this.#last !== this.#completed && comparePositions(this.#last, this.#completed) > 0
  }

  /** The last completed record, or where reading began. */
  get end(): Position {
    return this.#completed
  }

  /** Everything is checkpointed, and the row shows it. Automatic checkpoints need no confirmation: the lease carries them to its end. */
  get isConfirmed(): boolean {
    const { automatic } = this.#options
    if (automatic !== undefined) return true
    return this.#confirmed !== undefined && comparePositions(this.#confirmed, this.#completed) >= 0
  }

  /** From here on only a checkpoint that is made now counts for `isConfirmed`, though it be made a second time. */
  askAnew(): void {
    this.#confirmed = undefined
  }

  /** Aborts when the next checkpoint of the handler has landed. */
  get landing(): AbortSignal {
    return this.#landing.signal
  }

  /** Nothing counts any more. `reason`: what callers are told. */
  close(reason: unknown): void {
    this.#closed ??= reason
  }

  async #commit(pending: PendingCheckpoint): Promise<void> {
    this.#begin()
    const { position } = pending
    if (position.kind === 'sequence') positionInRange(this.#range(), position)
    const later = this.#prepared !== undefined && comparePositions(this.#prepared.position, position) > 0
    await this.#write(laterPosition(position, this.#last), later ? this.#prepared : undefined)
  }

  async #write(position: Position, pending: PendingCheckpoint | undefined): Promise<void> {
    this.#accept(position, pending)
    await this.#options.lease.checkpointNow(position, pending ?? null)
    this.#confirmed = laterPosition(this.#confirmed ?? position, position)
    this.#landing.abort()
    this.#landing = new AbortController()
  }

  #accept(position: Position, pending: PendingCheckpoint | undefined): void {
    this.#last = laterPosition(this.#last, position)
    this.#prepared = pending
    this.#inherited = undefined
  }

  /** The call may be over, and another may have records in hand that nobody is done with. */
  #default(last: RecordPosition | undefined): Position | undefined {
    if (last === undefined || this.#options.sideBySide) return undefined
    const ofCall = positionOf(last)
    const { delivered } = this.#range()
    return comparePositions(ofCall, delivered) < 0 ? laterPosition(ofCall, this.#last) : delivered
  }

  #range(): CheckpointRange {
    const delivered = laterPosition(laterPosition(this.#last, this.#completed), this.#inHand ?? this.#last)
    // It was handed over to the owner that prepared it.
    const found = this.#inherited?.position
    const largest = found?.kind === 'sequence' ? laterPosition(delivered, found) : delivered
    const { stream, lease } = this.#options
    return { stream, shardId: lease.shardId, last: this.#last, delivered, largest }
  }

  /** Throws when nothing counts any more. */
  #begin(): void {
    if (this.#closed !== undefined) throw this.#closed
    this.#report()
  }
}

/** The caller may use its bytes again. DynamoDB knows no difference that matters between no bytes and none. */
function checkedState(state: Uint8Array | undefined): Uint8Array | undefined {
  if (state === undefined) return undefined
  if (!(state instanceof Uint8Array))
    throw new RangeError(`The state of a prepared checkpoint must be a Uint8Array, got ${typeof state}`)
  if (state.length > MAX_STATE_BYTES) {
    throw new RangeError(
      `The state of a prepared checkpoint must have at most ${MAX_STATE_BYTES} bytes, got ${state.length}: keep it elsewhere and its key here`,
    )
  }
  return state.length === 0 ? undefined : state.slice()
}
