/** The shape of every event: a literal `type` and typed fields. One union per package serves logs, metrics, tracing and tests. */
export interface TypedEvent {
  readonly type: string
}

export type EventOf<E extends TypedEvent, T extends E['type']> = Extract<E, { readonly type: T }>

/** Takes a listener off again. Harmless when called twice. */
export type Unsubscribe = () => void

interface Subscription {
  readonly listener: (event: never) => void
  active: boolean
}

/**
 * Where a component announces what happens. Listeners run synchronously, in order of subscription, those of the type before those of any
 * type. Who subscribes while an event is being delivered gets the next one; who is taken off gets none any more. A listener that throws
 * disturbs neither the component nor the other listeners: its error is rethrown outside, as an uncaught exception.
 */
export class EventSource<E extends TypedEvent> {
  // Lists are replaced, never changed: an event goes to the list as it was when it was emitted.
  readonly #byType = new Map<string, readonly Subscription[]>()
  #all: readonly Subscription[] = []

  on<T extends E['type']>(type: T, listener: (event: EventOf<E, T>) => void): Unsubscribe {
    const subscription: Subscription = { listener, active: true }
    this.#byType.set(type, [...(this.#byType.get(type) ?? []), subscription])
    return () => {
      subscription.active = false
      const left = (this.#byType.get(type) ?? []).filter((other) => other !== subscription)
      if (left.length > 0) this.#byType.set(type, left)
      else this.#byType.delete(type)
    }
  }

  onAny(listener: (event: E) => void): Unsubscribe {
    const subscription: Subscription = { listener, active: true }
    this.#all = [...this.#all, subscription]
    return () => {
      subscription.active = false
      this.#all = this.#all.filter((other) => other !== subscription)
    }
  }

  /** Whether anyone listens: ask before building an event on a hot path. */
  hasListeners(type: E['type']): boolean {
    return this.#all.length > 0 || this.#byType.has(type)
  }

  emit(event: E): void {
    const ofType = this.#byType.get(event.type)
    const all = this.#all
    if (ofType !== undefined) for (const subscription of ofType) deliver(subscription, event)
    for (const subscription of all) deliver(subscription, event)
  }

  /** The next event of this type (for which `accept` holds). Rejects with the signal's reason when it aborts first, or as `accept` throws. */
  next<T extends E['type']>(
    type: T,
    options: { readonly accept?: (event: EventOf<E, T>) => boolean; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<EventOf<E, T>> {
    const { accept, signal } = options
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason)
      const abort = (): void => {
        unsubscribe()
        reject(signal?.reason)
      }
      const settle = (outcome: () => void): void => {
        unsubscribe()
        signal?.removeEventListener('abort', abort)
        outcome()
      }
      const unsubscribe = this.on(type, (event) => {
        try {
          if (accept === undefined || accept(event)) settle(() => resolve(event))
        } catch (error) {
          settle(() => reject(error))
        }
      })
      signal?.addEventListener('abort', abort, { once: true })
    })
  }
}

function deliver<E>(subscription: Subscription, event: E): void {
  if (!subscription.active) return
  try {
    const listener = subscription.listener as (event: E) => void
    listener(event)
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
