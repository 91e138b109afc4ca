import type { EventFact, WorkerFact } from './facts.js'

/** One worker's time with one shard. */
export interface Tenure {
  readonly id: number
  readonly worker: string
  readonly shardId: string
  readonly tookAt: number
  /** Of the lease, as the first handler call was told it: grows with each change of hands. */
  generation: number | undefined
  leftAt: number | undefined
  /** Why what it has handled may be handled again by the next. */
  cause: 'death' | 'lost lease' | 'unconfirmed release' | 'cut-off call' | undefined
}

interface Call {
  readonly tenure: Tenure
  readonly at: number
  /** Undefined: has not returned. */
  endedAt: number | undefined
}

/** A handler call under a lease that another worker had already begun to work on, or beside one of another worker. */
export interface SplitOwnership {
  readonly kind: 'late' | 'overlap'
  readonly shardId: string
  readonly worker: string
  readonly other: string
  readonly at: number
  /** The process stood still in the middle, or just before: JavaScript cannot be interrupted, nor asked again. */
  readonly stoodStill: boolean
}

/** Whether a worker stood still at a time between these. */
export type StoodStill = (worker: string, from: number, to: number) => boolean

/** From standing still to the first thing that is done afterwards. */
const WAKES_MS = 1000
const CUT_OFF: ReadonlySet<string> = new Set(['handler-abandoned', 'lease-handoff-forced', 'lease-reader-stalled'])

/** Who had which shard, told by the handlers' own calls. */
export class TenureLedger {
  readonly tenures: Tenure[] = []
  readonly #current = new Map<string, Tenure>()
  readonly #calls = new Map<string, Call>()
  readonly #callsOfShard = new Map<string, Call[]>()

  took(worker: string, fact: Extract<WorkerFact, { fact: 'took' }>, at: number): void {
    const { shardId } = fact
    const tenure: Tenure = {
      ...{ id: this.tenures.length, worker, shardId, tookAt: at },
      ...{ generation: undefined, leftAt: undefined, cause: undefined },
    }
    this.tenures.push(tenure)
    this.#current.set(`${worker} ${shardId}`, tenure)
  }

  left(worker: string, fact: Extract<WorkerFact, { fact: 'left' }>, at: number): void {
    const tenure = this.#current.get(`${worker} ${fact.shardId}`)
    if (tenure === undefined) return
    tenure.leftAt = at
    if (fact.outcome === 'lost') tenure.cause ??= 'lost lease'
  }

  event(worker: string, { type, shardId, detail }: EventFact): void {
    const tenure = this.#current.get(`${worker} ${shardId}`)
    if (tenure === undefined) return
    if (type === 'lease-lost') tenure.cause ??= 'lost lease'
    // The lease expires then, as that of a dead worker.
    if (type === 'lease-store-failed' && JSON.parse(detail).operation === 'release') tenure.cause ??= 'unconfirmed release'
    if (CUT_OFF.has(type)) tenure.cause ??= 'cut-off call'
  }

  died(worker: string, at: number): void {
    for (const tenure of this.#current.values()) {
      if (tenure.worker !== worker || tenure.leftAt !== undefined) continue
      tenure.leftAt = at
      tenure.cause ??= 'death'
    }
    for (const call of this.#calls.values()) if (call.tenure.worker === worker) call.endedAt ??= at
  }

  /** The tenure that the call is of. */
  began(worker: string, fact: Extract<WorkerFact, { fact: 'began' }>, at: number): Tenure {
    const tenure = this.#current.get(`${worker} ${fact.shardId}`)
    if (tenure === undefined) throw new Error(`${worker} handles records of ${fact.shardId} and has not begun with it`)
    tenure.generation ??= fact.generation
    const call: Call = { tenure, at, endedAt: undefined }
    this.#calls.set(`${worker} ${fact.call}`, call)
    const calls = this.#callsOfShard.get(fact.shardId)
    if (calls === undefined) this.#callsOfShard.set(fact.shardId, [call])
    else calls.push(call)
    return tenure
  }

  completed(worker: string, call: number, at: number): void {
    const known = this.#calls.get(`${worker} ${call}`)
    if (known !== undefined) known.endedAt = at
    this.#calls.delete(`${worker} ${call}`)
  }

  /** Shards by the workers that have them at present. */
  held(): Map<string, string[]> {
    const held = new Map<string, string[]>()
    for (const { worker, shardId, leftAt } of this.#current.values()) {
      if (leftAt === undefined) held.set(worker, [...(held.get(worker) ?? []), shardId])
    }
    return held
  }

  /** Changes of hands of shards between these times. */
  moves(from: number, to: number): readonly Tenure[] {
    return this.tenures.filter(({ tookAt }) => tookAt >= from && tookAt <= to)
  }

  /** Whether a repetition of what the earlier ones of these tenures were given has a cause. */
  explains(ids: readonly number[]): boolean {
    const tenures = ids.map((id) => this.tenures[id]!)
    if (new Set(ids).size < ids.length) return false
    const order = [...tenures].sort((a, b) => a.generation! - b.generation!)
    return order.slice(0, -1).every(({ cause }) => cause !== undefined)
  }

  /** Where two workers were at work on one shard. */
  split(stoodStill: StoodStill): SplitOwnership[] {
    return [...this.#callsOfShard].flatMap(([shardId, calls]) => splitOf(shardId, calls, stoodStill))
  }
}

function splitOf(shardId: string, unsorted: readonly Call[], stoodStill: StoodStill): SplitOwnership[] {
  const found: SplitOwnership[] = []
  let newest: Tenure | undefined
  let open: Call[] = []
  for (const call of [...unsorted].sort((a, b) => a.at - b.at)) {
    const { at, tenure } = call
    const { worker } = tenure
    open = open.filter(({ endedAt }) => (endedAt ?? Number.POSITIVE_INFINITY) > at)
    for (const other of open) {
      if (other.tenure.worker === worker) continue
      const still = stoodStill(other.tenure.worker, other.at, at) || stoodStill(worker, at - WAKES_MS, at)
      found.push({ kind: 'overlap', shardId, worker, other: other.tenure.worker, at, stoodStill: still })
    }
    open.push(call)
    if (newest !== undefined && tenure.generation! < newest.generation!) {
      const still = stoodStill(worker, at - WAKES_MS, at)
      found.push({ kind: 'late', shardId, worker, other: newest.worker, at, stoodStill: still })
    } else newest = tenure
  }
  return found
}
