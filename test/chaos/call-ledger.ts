import type { WorkerFact } from './facts.js'
import { isBefore, type LeaseLedger, type Place, placeOf, type Tenure } from './lease-ledger.js'

/** A handler call, told by the handler itself. */
export interface Call {
  readonly worker: string
  readonly shardId: string
  readonly at: number
  /** Undefined: has not returned. */
  readonly endedAt: number | undefined
  /** Of its earliest record. Undefined: it had none. */
  readonly place: Place | undefined
}

/** A handler call that should not have been. */
export interface WrongCall {
  /**
   * - `late`: it began while the table said that the lease was another's, or nobody's;
   * - `overlap`: it began beside one of another worker;
   * - `behind`: it was given what the checkpoint covered when the lease was taken.
   */
  readonly kind: 'late' | 'overlap' | 'behind'
  readonly shardId: string
  readonly worker: string
  /** The other worker. */
  readonly beside: string | undefined
  readonly at: number
  /** Of an overlap: the process of the older call stood still in its middle. JavaScript cannot be interrupted. */
  readonly stoodStill: boolean
}

/** Whether a worker stood still at a time between these. */
export type StoodStill = (worker: string, from: number, to: number) => boolean

/** All handler calls of a run. */
export class CallLedger {
  readonly calls: Call[] = []
  readonly #running = new Map<string, number>()

  /** Its number here. */
  began(worker: string, { call, shardId, groups }: Extract<WorkerFact, { fact: 'began' }>, at: number): number {
    let place: Place | undefined
    for (const { sequenceNumber, records } of groups) {
      const first = placeOf(sequenceNumber, records[0]!)
      if (place === undefined || isBefore(first, place)) place = first
    }
    const id = this.calls.push({ worker, shardId, at, endedAt: undefined, place }) - 1
    this.#running.set(`${worker} ${call}`, id)
    return id
  }

  completed(worker: string, call: number, at: number): void {
    const id = this.#running.get(`${worker} ${call}`)
    if (id === undefined) throw new Error(`${worker} completes call ${call}, which has not begun`)
    this.#running.delete(`${worker} ${call}`)
    Object.assign(this.calls[id]!, { endedAt: at })
  }

  died(worker: string, at: number): void {
    for (const id of this.#running.values())
      if (this.calls[id]!.worker === worker) Object.assign(this.calls[id]!, { endedAt: at })
  }

  /** Whose the shard was when the call began. Undefined: not its worker's. */
  tenureOf(id: number, leases: LeaseLedger): Tenure | undefined {
    const { worker, shardId, at } = this.calls[id]!
    const tenure = leases.ownerAt(shardId, at)
    return tenure?.worker === worker ? tenure : undefined
  }

  wrong(leases: LeaseLedger, stoodStill: StoodStill): WrongCall[] {
    const found: WrongCall[] = []
    const open = new Map<string, Call[]>()
    for (const [id, call] of [...this.calls.entries()].sort(([, a], [, b]) => a.at - b.at)) {
      const { worker, shardId, at, place } = call
      const wrong = { shardId, worker, at, stoodStill: false }
      const beside = (open.get(shardId) ?? []).filter(({ endedAt }) => (endedAt ?? Number.POSITIVE_INFINITY) > at)
      for (const other of beside) {
        if (other.worker === worker) continue
        const still = stoodStill(other.worker, other.at, at)
        found.push({ ...wrong, kind: 'overlap', beside: other.worker, stoodStill: still })
      }
      open.set(shardId, [...beside, call])
      const tenure = this.tenureOf(id, leases)
      if (tenure === undefined) found.push({ ...wrong, kind: 'late', beside: leases.ownerAt(shardId, at)?.worker })
      else if (place !== undefined && !isBefore(tenure.startsBehind, place))
        found.push({ ...wrong, kind: 'behind', beside: undefined })
    }
    return found
  }
}
