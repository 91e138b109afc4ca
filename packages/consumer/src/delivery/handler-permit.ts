import type { HeldLease } from '../leases/held-lease.js'
import type { Moment } from '../leases/trust-window.js'
import { sharedAbort } from '../shared-abort.js'
import type { StartGate } from './start-gate.js'

export interface HandlerPermitOptions {
  readonly lease: Pick<HeldLease, 'shardId' | 'isOurs' | 'revalidate'>
  readonly gates: readonly StartGate[]
  /** Nothing begins once this aborts. */
  readonly halt: AbortSignal
}

/** What the delivery sees of the lease of its shard: whether a handler call may begin, by the lease and by all gates. */
export class HandlerPermit implements Pick<HeldLease, 'shardId' | 'signal' | 'isOurs' | 'revalidate'> {
  readonly #options: HandlerPermitOptions
  readonly #revoked = sharedAbort()

  constructor(options: HandlerPermitOptions) {
    this.#options = options
  }

  get shardId(): string {
    return this.#options.lease.shardId
  }

  /** Of the handler calls: aborts when they should give up what they can. */
  get signal(): AbortSignal {
    return this.#revoked.signal
  }

  revoke(reason: unknown): void {
    this.#revoked.abort(reason)
  }

  /** Ask synchronously before each handler call. */
  isOurs(at?: Moment): boolean {
    return this.#options.lease.isOurs(at) && this.#closed() === undefined
  }

  /** A call might have begun, and none does: what gates have in store for it is for others. */
  passUp(): void {
    const { lease, gates } = this.#options
    for (const gate of gates) gate.passUp?.(lease.shardId)
  }

  /** True when it is worth asking again, false when nothing begins any more. */
  async revalidate(): Promise<boolean> {
    const { lease, gates, halt } = this.#options
    while (!halt.aborted) {
      const closed = lease.isOurs() ? this.#closed() : 'lease'
      if (closed === undefined) return true
      // While we wait for the one, the others shall not wait for us.
      for (const gate of gates) if (gate !== closed) gate.passUp?.(lease.shardId)
      if (closed !== 'lease') await closed.opened(lease.shardId, halt)
      else if (!(await lease.revalidate())) return false
    }
    return false
  }

  #closed(): StartGate | undefined {
    const { gates, lease } = this.#options
    for (const gate of gates) if (!gate.isOpen(lease.shardId)) return gate
    return undefined
  }
}
