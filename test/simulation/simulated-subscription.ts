import type { ShardSubscription, SubscribeToShardEvent } from '@shardwise/core/fan-out-port'
import type { ShardSubscription as ModelSubscription } from '@shardwise/local/model'
import { connectionReset, type Network, named } from './network.js'
import type { SimulatedProcess } from './simulated-process.js'
import type { VirtualTime } from './virtual-time.js'

type Arrival = { readonly event: SubscribeToShardEvent | undefined } | { readonly error: unknown }

export interface SimulatedSubscriptionOptions {
  readonly process: SimulatedProcess
  readonly time: VirtualTime
  readonly network: Network
  /** At the service. */
  readonly source: ModelSubscription
  readonly signal: AbortSignal | undefined
  readonly read: (by: string, event: SubscribeToShardEvent) => void
}

/** Events on their way and not asked for: what a connection's window holds. */
const WINDOW = 3

/**
 * A subscription at the end of the network. Events come in their order; what is not asked for waits at the service. A link that is cut, or a bad
 * moment, makes it silent for ever, as half-open connections are, or breaks it.
 */
export class SimulatedSubscription implements ShardSubscription {
  readonly #options: SimulatedSubscriptionOptions
  readonly #arrived: Arrival[] = []
  readonly #abort = (): void => this.close()
  #underWay = 0
  #lastArrivalAt = 0
  #waiting:
    | { readonly resolve: (event: SubscribeToShardEvent | undefined) => void; readonly reject: (error: unknown) => void }
    | undefined
  #isOver = false
  #isSilent = false

  constructor(options: SimulatedSubscriptionOptions) {
    this.#options = options
    const { source, signal, time } = options
    signal?.addEventListener('abort', this.#abort, { once: true })
    source.onWake(() => time.after(0, this.#push))
    time.after(0, this.#push)
  }

  next(): Promise<SubscribeToShardEvent | undefined> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
      this.#hand()
    })
  }

  close(): void {
    if (this.#isOver) return
    const { source, signal, time, process } = this.#options
    this.#isOver = true
    signal?.removeEventListener('abort', this.#abort)
    source.onWake(undefined)
    // The service hears of it a little later.
    time.at(process.now + 5, () => source.close())
    const waiting = this.#waiting
    this.#waiting = undefined
    if (signal?.aborted === true) waiting?.reject(signal.reason)
    else waiting?.resolve(undefined)
  }

  /** What the service has to say, as long as there is room on the way. */
  readonly #push = (): void => {
    const { source, process, time } = this.#options
    if (process.isDead) source.close()
    while (!this.#isOver && !this.#isSilent && !process.isDead && this.#underWay < WINDOW) {
      const step = source.next()
      if (step.kind === 'wait') {
        time.at(step.until, this.#push)
        return
      }
      if (step.kind === 'event') this.#send({ event: step.event })
      else {
        this.#send(step.kind === 'ended' ? { event: undefined } : { error: named(step.error.code, step.error.message) })
        return
      }
    }
  }

  #send(arrival: Arrival): void {
    const { process, time, network } = this.#options
    this.#underWay++
    if (network.breaksEvent(process)) {
      this.#isSilent = true
      network.losesConnection(process, () => this.#arrive({ error: connectionReset() }))
      return
    }
    this.#lastArrivalAt = Math.max(this.#lastArrivalAt, time.now + network.delay(process))
    time.at(this.#lastArrivalAt, () => this.#arrive(arrival))
  }

  #arrive(arrival: Arrival): void {
    this.#options.process.receive(() => {
      this.#arrived.push(arrival)
      this.#hand()
    })
  }

  #hand(): void {
    const waiting = this.#waiting
    if (this.#isOver || waiting === undefined) return
    const arrival = this.#arrived.shift()
    if (arrival === undefined) return
    const { process, time, read } = this.#options
    this.#waiting = undefined
    this.#underWay--
    if ('error' in arrival || arrival.event === undefined) {
      this.close()
      if ('error' in arrival) waiting.reject(arrival.error)
      else waiting.resolve(undefined)
      return
    }
    read(process.name, arrival.event)
    time.at(process.now, this.#push)
    waiting.resolve(arrival.event)
  }
}
