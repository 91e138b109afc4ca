import type { Item } from './dynamodb-expression.js'
import type { LandedWrite } from './dynamodb-service.js'

/** One acquisition of a lease, as the table itself has seen it. */
export interface TrueTenure {
  readonly worker: string
  readonly leaseKey: string
  /** The counter that the take has left. */
  readonly generation: number
  readonly takenAt: number
  /** When the stream was created that the row is of: epoch milliseconds, whole seconds. Undefined: it does not say. */
  readonly createdAt: number | undefined
  /** What it has found prepared: the place of a checkpoint. */
  readonly prepared: string | undefined
  /** The place of the checkpoint that it has found, or a sentinel. */
  readonly resumesAfter: string | undefined
  /** Virtual time of its last write that has taken effect. */
  confirmedAt: number
  /** And at which its owner had sent that: it may have heard of no later one. */
  renewedAt: number
  /** When that landed, its owner may have trusted the lease no longer. */
  hadLapsed: boolean
  /**
   * How it ended: by the owner's own last write, in time or only after it could have been taken, by another's take, with its stream, or by Java: a
   * worker of KCL 2.x takes from the living (DynamoDBLeaseTaker.java), a leader of 3.x names the owner, and not the counter, in what it assigns
   * (DynamoDBLeaseRefresher.java, assignLease). Then the owner learns it from its next write.
   */
  end: 'none' | 'given-up' | 'given-up-late' | 'taken' | 'begun-anew' | 'stolen'
}

/** A lease that another has given to this worker: by an offer, a handoff that it has asked for, or an assignment. */
export interface Gift {
  readonly worker: string
  readonly at: number
  readonly isByJava: boolean
}

export interface LeaseTruthOptions {
  readonly failoverTimeMs: number
  /** How much faster than true time any worker's clock may run. */
  readonly fastest: number
  readonly now: () => number
  /** Whether the owner knows that it has this lease, and nothing has kept it from writing lately. */
  readonly isWell: (tenure: TrueTenure) => boolean
  /** The first record up to this checkpoint, of the stream that was created then, that is neither completed nor gone, by its id. */
  readonly firstOpen: (leaseKey: string, checkpoint: string, sub: string, createdAt: number | undefined) => string | undefined
  /** When the stream that has this lease's name now was created: epoch milliseconds, whole seconds. */
  readonly createdAt: (leaseKey: string) => number
  readonly violated: (what: string) => void
  /** Whether this process, or worker, is one of Java's. */
  readonly isJava: (name: string) => boolean
  /** Live workers of Java's may be taken from: KCL 2.x's. */
  readonly javaIsTakenFrom: boolean
}

/** Of the failover time: docs/lease-protocol.md, "Trust". */
const TRUSTED_SHARE = 0.9
const SENTINELS = ['AT_TIMESTAMP', 'TRIM_HORIZON', 'LATEST']

/** What the lease table went through, write by write, and what of it must not be. Knows nothing of what workers believe. */
export class LeaseTruth {
  readonly #options: LeaseTruthOptions
  readonly #tenures = new Map<string, TrueTenure>()
  readonly #current = new Map<string, TrueTenure>()
  /** The last tenure of ours that Java has ended, or whose row was begun anew: its owner learns it from its next write. */
  readonly #unaware = new Map<string, TrueTenure>()
  readonly #given = new Map<string, Gift>()
  /** Handoffs that were asked for, and since when. */
  readonly #asked = new Map<string, number>()
  /** Takes and releases so far. */
  moves = 0

  constructor(options: LeaseTruthOptions) {
    this.#options = options
  }

  tenure(worker: string, leaseKey: string, generation: number): TrueTenure | undefined {
    return this.#tenures.get(`${worker} ${leaseKey} ${generation}`)
  }

  current(leaseKey: string): TrueTenure | undefined {
    return this.#current.get(leaseKey)
  }

  /** To the worker that the row names as its owner. Undefined: it took the lease itself. */
  gift(leaseKey: string, worker: string): Gift | undefined {
    const gift = this.#given.get(leaseKey)
    return gift?.worker === worker ? gift : undefined
  }

  /** Leases that somebody waits for, with who has them and since when. */
  *asked(): Iterable<{ readonly tenure: TrueTenure; readonly since: number }> {
    for (const [key, since] of this.#asked) {
      const tenure = this.#current.get(key)
      if (tenure?.end === 'none') yield { tenure, since }
    }
  }

  /** A handler call begins at this moment. */
  handlerStarts(worker: string, leaseKey: string, generation: number): void {
    const { now, failoverTimeMs, fastest, violated } = this.#options
    const tenure = this.tenure(worker, leaseKey, generation)
    const says = `${worker} begins a handler call for ${leaseKey} (generation ${generation})`
    if (tenure === undefined) {
      violated(`${says}, which it never took`)
      return
    }
    if (!isTrusting(tenure)) {
      violated(`${says}, whose lease is ${tenure.end}`)
      return
    }
    const unrenewedMs = now() - tenure.confirmedAt
    if (unrenewedMs * fastest >= failoverTimeMs)
      violated(`${says}, though its lease may have been taken: not renewed for ${Math.round(unrenewedMs)} ms`)
  }

  /** At this moment the process asks for the records of the shard, and so takes them from whoever has them. It has one of these leases. */
  subscribes(process: string, leaseKeys: readonly string[]): void {
    const { now, failoverTimeMs, fastest, violated } = this.#options
    const known = (of: Map<string, TrueTenure>): TrueTenure[] => leaseKeys.flatMap((leaseKey) => of.get(leaseKey) ?? [])
    const tenures = [...known(this.#current), ...known(this.#unaware)]
    const tenure = tenures.find(({ worker }) => processOf(worker) === process) ?? tenures[0]
    const says = `${process} subscribes to ${leaseKeys[0]}`
    if (tenure === undefined || processOf(tenure.worker) !== process)
      violated(`${says}, whose lease ${tenure?.worker ?? 'nobody'} has`)
    else if (!isTrusting(tenure)) violated(`${says}, whose lease is ${tenure.end}`)
    else if ((now() - tenure.confirmedAt) * fastest >= failoverTimeMs)
      violated(`${says}, whose lease may have been taken: not renewed for ${Math.round(now() - tenure.confirmedAt)} ms`)
  }

  landed(write: LandedWrite): void {
    const { violated } = this.#options
    const { key, operation, before, after } = write
    if (before?.leaseCounter === undefined && after?.leaseCounter === undefined) return
    if (operation === 'PutItem') {
      if (before !== undefined) this.#begunAnew(key, before, after!)
      return
    }
    if (after === undefined) {
      const isFormer = Number(before?.swStreamCreated?.N) < this.#options.createdAt(key)
      if (before?.checkpoint?.S !== 'SHARD_END' && !isFormer) violated(`the lease ${key} was deleted at ${before?.checkpoint?.S}`)
      this.#endedWithItsStream(key)
      return
    }
    if (before === undefined) {
      violated(`the lease ${key} was made by an update`)
      return
    }
    if (after.checkpointOwner === undefined) this.#asked.delete(key)
    else if (before.checkpointOwner === undefined) this.#asked.set(key, this.#options.now())
    this.#checkCheckpoint(write, before, after)
    const owner = actualOwner(before)
    this.#noteGift(write, owner, actualOwner(after))
    if (this.#options.isJava(write.by)) this.#movedByJava(write, before, after, owner)
    else if (write.expression?.includes('#swOwner = ')) this.#taken(key, before, after, owner)
    else if (numberOf(after.leaseCounter) !== numberOf(before.leaseCounter)) this.#moved(write, before, after, owner)
  }

  #noteGift({ by, key }: LandedWrite, from: string | undefined, to: string | undefined): void {
    if (to === from) return
    if (to === undefined || processOf(to) === by) this.#given.delete(key)
    else this.#given.set(key, { worker: to, at: this.#options.now(), isByJava: this.#options.isJava(by) })
  }

  /** Only the row of a stream that is gone may be written over, by one of the stream that has its name. */
  #begunAnew(key: string, before: Item, after: Item): void {
    const createdAt = numberOf(after.swStreamCreated)
    if (createdAt !== this.#options.createdAt(key) || createdAt <= numberOf(before.swStreamCreated))
      this.#options.violated(`the lease ${key} was written over`)
    this.#endedWithItsStream(key)
  }

  /** Nobody waits for it any more, and who had it learns that it has not from its next write. */
  #endedWithItsStream(key: string): void {
    this.#asked.delete(key)
    const former = this.#current.get(key)
    if (former?.end !== 'none') return
    former.end = 'begun-anew'
    this.#unaware.set(key, former)
  }

  #taken(key: string, before: Item, after: Item, owner: string | undefined): void {
    const { now, failoverTimeMs, fastest, isWell, violated } = this.#options
    const worker = after.leaseOwner!.S!
    const former = this.#current.get(key)
    const isOffered = before.checkpointOwner === undefined && before.swNext !== undefined && before.swNext.S === owner
    const isFree = owner === undefined || isOffered || former === undefined || former.end !== 'none'
    const isGivenUp = owner !== undefined && this.#options.isJava(owner) && this.#options.javaIsTakenFrom
    if (!isFree && !isGivenUp && owner !== worker) {
      const stoodMs = now() - former.confirmedAt
      if (stoodMs * fastest < failoverTimeMs)
        violated(`${worker} took ${key} from ${owner}, which had written ${Math.round(stoodMs)} ms before`)
      // Whose last packet was that late had lost its trust before it landed, and may have left the lease for good.
      else if (former.confirmedAt - former.renewedAt < failoverTimeMs && isWell(former))
        violated(`${worker} took ${key} from ${owner}, which is alive and well`)
    }
    if (former?.end === 'none') former.end = 'taken'
    const generation = numberOf(after.leaseCounter)
    const createdAt = after.swStreamCreated && numberOf(after.swStreamCreated)
    const prepared =
      after.pendingCheckpoint?.S && `${after.pendingCheckpoint.S}/${after.pendingCheckpointSubSequenceNumber?.N ?? 0}`
    const tenure: TrueTenure = {
      worker,
      leaseKey: key,
      generation,
      takenAt: now(),
      createdAt,
      prepared,
      resumesAfter: after.checkpoint?.S && `${after.checkpoint.S}/${after.checkpointSubSequenceNumber?.N ?? 0}`,
      confirmedAt: now(),
      renewedAt: now(),
      hadLapsed: false,
      end: 'none',
    }
    this.#tenures.set(`${worker} ${key} ${generation}`, tenure)
    this.#current.set(key, tenure)
    this.moves++
  }

  #movedByJava({ by, key }: LandedWrite, before: Item, after: Item, owner: string | undefined): void {
    const { isJava, now } = this.#options
    const former = this.#current.get(key)
    const worker = actualOwner(after)
    if (worker === owner) {
      if (numberOf(after.leaseCounter) === numberOf(before.leaseCounter)) return
      // A leader may assign a lease to the owner that it has: that owner has to take it again.
      if (owner === undefined || processOf(owner) !== by) return
      if (former?.worker === owner && former.end === 'none') former.confirmedAt = now()
      else this.#ofJava(owner, key, after)
      return
    }
    if (former?.end === 'none') {
      former.end = owner !== undefined && processOf(owner) === by ? 'given-up' : 'stolen'
      if (former.end === 'stolen' && !isJava(former.worker)) this.#unaware.set(key, former)
    }
    this.#current.delete(key)
    if (after.checkpoint?.S !== 'SHARD_END') this.moves++
    if (worker !== undefined && isJava(worker)) this.#ofJava(worker, key, after)
  }

  #ofJava(worker: string, leaseKey: string, { leaseCounter }: Item): void {
    const { now } = this.#options
    const generation = numberOf(leaseCounter)
    const fresh = {
      worker,
      leaseKey,
      generation,
      takenAt: now(),
      createdAt: undefined,
      prepared: undefined,
      resumesAfter: undefined,
      confirmedAt: now(),
      renewedAt: now(),
      hadLapsed: false,
    } as const
    this.#current.set(leaseKey, { ...fresh, end: 'none' })
  }

  #moved(write: LandedWrite, before: Item, after: Item, owner: string | undefined): void {
    const { now, violated } = this.#options
    const { key } = write
    const tenure = this.#current.get(key)
    if (owner === undefined) {
      violated(`${write.by} moved the counter of ${key}, which nobody has`)
      return
    }
    if (processOf(owner) !== write.by) {
      const isOffered = before.checkpointOwner === undefined && before.swNext?.S === owner
      if (!isOffered) violated(`${write.by} moved the counter of ${key}, which ${owner} has`)
      return
    }
    if (tenure === undefined || tenure.worker !== owner || tenure.end !== 'none') return
    if (numberOf(after.leaseCounter) !== numberOf(before.leaseCounter) + 1)
      violated(`${owner} moved the counter of ${key} from ${before.leaseCounter?.N} to ${after.leaseCounter?.N}`)
    const { failoverTimeMs, fastest } = this.#options
    const unrenewedMs = now() - tenure.renewedAt
    const isGivenUp = actualOwner(after) !== owner
    // The end itself comes of what was before.
    if (!isGivenUp) tenure.hadLapsed = unrenewedMs * fastest > failoverTimeMs * TRUSTED_SHARE
    tenure.confirmedAt = now()
    tenure.renewedAt = write.sentAt
    if (!isGivenUp) return
    // A worker that stops waits no longer for the table, and then frees the row without what it has completed.
    tenure.end = unrenewedMs < failoverTimeMs ? 'given-up' : 'given-up-late'
    this.moves++
  }

  #checkCheckpoint(write: LandedWrite, before: Item, after: Item): void {
    const { violated, firstOpen } = this.#options
    const [from, to] = [before.checkpoint?.S ?? '', after.checkpoint?.S ?? '']
    const [fromSub, toSub] = [before.checkpointSubSequenceNumber?.N ?? '0', after.checkpointSubSequenceNumber?.N ?? '0']
    if (from === to && fromSub === toSub) return
    const { by, key } = write
    const owner = actualOwner(before)
    if (owner === undefined || processOf(owner) !== by)
      violated(`${by} moved the checkpoint of ${key}, which ${owner ?? 'nobody'} has`)
    if (compare(from, fromSub, to, toSub) > 0)
      violated(`the checkpoint of ${key} went back from ${from}/${fromSub} to ${to}/${toSub}`)
    const open = SENTINELS.includes(to)
      ? undefined
      : firstOpen(key, to, toSub, after.swStreamCreated && numberOf(after.swStreamCreated))
    if (open !== undefined)
      violated(`${by} moved the checkpoint of ${key} to ${to}/${toSub}, past ${open}, which is not completed`)
  }
}

/**
 * Its owner may believe that it has it. Of a stream that is gone and created anew: nobody else has its records, and its former owner learns of it
 * with the next renewal.
 */
function isTrusting({ end }: TrueTenure): boolean {
  return end === 'none' || end === 'begun-anew' || end === 'stolen'
}

/** KCL 2.x takes a lease and leaves `checkpointOwner` of a handoff among ours, which `swNext` tells from one that a leader of KCL's asks for. */
export function actualOwner({ checkpointOwner, leaseOwner, swOwner, swNext }: Item): string | undefined {
  const isOurs = checkpointOwner !== undefined && checkpointOwner.S === swOwner?.S
  const isTakenSince = isOurs && swNext !== undefined && swNext.S !== leaseOwner?.S
  return isTakenSince ? leaseOwner?.S : (checkpointOwner?.S ?? leaseOwner?.S)
}

/** Worker ids begin with the name of their process. */
export function processOf(worker: string): string {
  return worker.slice(0, worker.indexOf(':'))
}

function numberOf(value: Item[string] | undefined): number {
  return Number(value?.N)
}

function rank(checkpoint: string): number {
  if (checkpoint === 'SHARD_END') return 2
  return SENTINELS.includes(checkpoint) ? 0 : 1
}

function compare(a: string, aSub: string, b: string, bSub: string): number {
  if (rank(a) !== 1 || rank(b) !== 1) return rank(a) - rank(b)
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : Number(aSub) - Number(bSub))
}
