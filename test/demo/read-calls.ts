import type { FaultControl, ObservedCall } from '@shardwise/local'

/** How the workers read, as the service saw it. */
export class ReadCalls {
  #polls = 0
  #subscriptions = 0

  constructor(faults: FaultControl) {
    const count = (act: () => void) => ({
      observe: ({ outcome }: ObservedCall): void => {
        if (outcome.kind === 'answered') act()
      },
      times: Number.POSITIVE_INFINITY,
    })
    faults.on(
      'GetRecords',
      count(() => this.#polls++),
    )
    faults.on(
      'SubscribeToShard',
      count(() => this.#subscriptions++),
    )
  }

  get counts(): { readonly polls: number; readonly subscriptions: number } {
    return { polls: this.#polls, subscriptions: this.#subscriptions }
  }
}
