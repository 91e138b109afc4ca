import type { LeaseStore } from '../lease-store.js'

type Operation = Exclude<keyof LeaseStore, 'open'>
/**
 * `lost`: never arrives. `unanswered`: takes effect, the answer is lost. `late`: takes effect when `deliverLate` is called, the caller
 * gets no answer. `throttled`: refused, certainly without effect.
 */
export type Fault = 'lost' | 'unanswered' | 'late' | 'throttled'

/** A lease store behind a network that misbehaves as told. Counts what was sent. */
export class FaultyLeaseStore {
  readonly sent: Operation[] = []
  readonly store: LeaseStore
  readonly #faults: { readonly operation: Operation; readonly fault: Fault }[] = []
  readonly #late: (() => Promise<unknown>)[] = []
  /** Every call fails so while set. */
  outage: Fault | undefined

  constructor(inner: LeaseStore) {
    this.store = new Proxy(inner, {
      get: (_target, name) => {
        const operation = name as Operation
        const call = Reflect.get(inner, operation) as (...args: unknown[]) => Promise<unknown>
        return (...args: unknown[]) => this.#send(operation, () => call.apply(inner, args))
      },
    })
  }

  /** What happens to the next calls of an operation, one fault each. */
  next(operation: Operation, ...faults: Fault[]): void {
    for (const fault of faults) this.#faults.push({ operation, fault })
  }

  async deliverLate(): Promise<void> {
    for (const call of this.#late.splice(0)) await call()
  }

  async #send(operation: Operation, call: () => Promise<unknown>): Promise<unknown> {
    this.sent.push(operation)
    const index = this.#faults.findIndex((each) => each.operation === operation)
    const fault = index < 0 ? this.outage : this.#faults.splice(index, 1)[0]!.fault
    if (fault === undefined) return call()
    if (fault === 'throttled') throw Object.assign(new Error('Too fast'), { name: 'ProvisionedThroughputExceededException' })
    if (fault === 'late') {
      this.#late.push(call)
      return new Promise(() => {})
    }
    if (fault === 'unanswered') await call()
    throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
  }
}
