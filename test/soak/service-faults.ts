import type { Random } from '@shardwise/core/random'
import type { FaultControl, FaultHandle, FaultRule } from '@shardwise/local'

/** A rule without the lots: they are drawn here. */
type Effect = Exclude<FaultRule, { readonly observe: unknown } | { readonly hold: unknown }>

interface Fault {
  readonly name: string
  /** Of the calls of this operation, at density 1. */
  readonly share: number
  readonly operations: readonly string[]
  readonly rule: Effect
}

const PUT = ['PutRecords']
/** These at density 1 always: they come seldom, and a producer that never gets a shard map has nothing to prove. */
const LOOK = ['ListShards', 'DescribeStreamSummary']
const REFUSED_ENTRIES = 0.3
/** Out of nothing, as a request and of some of its entries. The quotas throttle on their own. */
const THROTTLED = 0.003

/** What goes wrong, each by its own lot. A hung call is answered, and may be carried out, long after the producer has given up on it. */
export function faultsOf(random: Random, requestTimeoutMs: number): readonly Fault[] {
  const someEntries = (): boolean => random() < REFUSED_ENTRIES
  const fail = (code: string): Effect => ({ fail: { code } })
  const hungMs = requestTimeoutMs * 1.5
  return [
    { name: 'lostAnswer', share: 0.01, operations: PUT, rule: { drop: 'after-work' } },
    { name: 'droppedRequest', share: 0.01, operations: PUT, rule: { drop: 'before-work' } },
    { name: 'throttledRequest', share: THROTTLED, operations: PUT, rule: fail('ProvisionedThroughputExceededException') },
    { name: 'internalFailure', share: 0.01, operations: PUT, rule: fail('InternalFailure') },
    { name: 'unavailable', share: 0.005, operations: PUT, rule: fail('ServiceUnavailable') },
    { name: 'throttledEntries', share: THROTTLED, operations: PUT, rule: { rejectEntries: { when: someEntries } } },
    {
      name: 'failedEntries',
      share: 0.02,
      operations: PUT,
      rule: { rejectEntries: { when: someEntries, code: 'InternalFailure' } },
    },
    { name: 'slowAnswer', share: 0.03, operations: PUT, rule: { delayMs: 250 } },
    { name: 'slowWork', share: 0.03, operations: PUT, rule: { delayMs: 150, phase: 'before-work' } },
    { name: 'hungAnswer', share: 0.004, operations: PUT, rule: { delayMs: hungMs } },
    { name: 'hungWork', share: 0.004, operations: PUT, rule: { delayMs: hungMs, phase: 'before-work' } },
    { name: 'shardMapFailed', share: 0.2, operations: LOOK, rule: fail('LimitExceededException') },
    { name: 'shardMapUnavailable', share: 0.1, operations: LOOK, rule: fail('InternalFailure') },
    { name: 'shardMapLost', share: 0.1, operations: LOOK, rule: { drop: 'after-work' } },
    { name: 'shardMapSlow', share: 0.2, operations: LOOK, rule: { delayMs: 400 } },
  ]
}

/** The faults of a run, decided by a seed; which call meets which lot still depends on when it comes. */
export class ServiceFaults {
  readonly #control: FaultControl
  readonly #handles = new Map<string, FaultHandle[]>()
  #outage: FaultHandle | undefined

  constructor(control: FaultControl) {
    this.#control = control
  }

  begin(random: Random, options: { readonly density: number; readonly requestTimeoutMs: number }): void {
    for (const { name, share, operations, rule } of faultsOf(random, options.requestTimeoutMs)) {
      const when = (): boolean => random() < share * (operations === PUT ? options.density : 1)
      const handles = operations.map((on) => this.#control.on(on, { ...rule, times: Number.POSITIVE_INFINITY, when }))
      this.#handles.set(name, handles)
    }
  }

  outage(on: boolean): void {
    if (on && this.#outage === undefined) {
      this.#outage = this.#control.on('PutRecords', { fail: { code: 'ServiceUnavailable' }, times: Number.POSITIVE_INFINITY })
      this.#handles.set('outage', [...(this.#handles.get('outage') ?? []), this.#outage])
    } else if (!on) {
      this.#outage?.remove()
      this.#outage = undefined
    }
  }

  calm(): void {
    this.#control.clear()
  }

  get hits(): Record<string, number> {
    const sum = (handles: readonly FaultHandle[]): number => handles.reduce((total, { hits }) => total + hits, 0)
    return Object.fromEntries([...this.#handles].map(([name, handles]) => [name, sum(handles)]))
  }
}
