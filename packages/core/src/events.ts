/** The shape of every event: a literal `type` and typed fields. One union per package serves logs, metrics, tracing and tests. */
export interface TypedEvent {
  readonly type: string
}

export type EventOf<E extends TypedEvent, T extends E['type']> = Extract<E, { readonly type: T }>

/** Takes a listener off again. Harmless when called twice. */
export type Unsubscribe = () => void

/**
 * Where a component announces what happens. Listeners run synchronously, in order of subscription. A listener that throws disturbs
 * neither the component nor the other listeners: its error is rethrown outside, as an uncaught exception.
 */
export class EventSource<E extends TypedEvent> {
  readonly #byType = new Map<string, Set<(event: E) => void>>()
  readonly #all = new Set<(event: E) => void>()

  on<T extends E['type']>(type: T, listener: (event: EventOf<E, T>) => void): Unsubscribe {
    const entry = listener as (event: E) => void
    const listeners = this.#byType.get(type) ?? new Set()
    this.#byType.set(type, listeners.add(entry))
    return () => void listeners.delete(entry)
  }

  onAny(listener: (event: E) => void): Unsubscribe {
    this.#all.add(listener)
    return () => void this.#all.delete(listener)
  }

  /** Whether anyone listens: ask before building an event on a hot path. */
  hasListeners(type: E['type']): boolean {
    return this.#all.size > 0 || (this.#byType.get(type)?.size ?? 0) > 0
  }

  emit(event: E): void {
    for (const listener of this.#byType.get(event.type) ?? []) call(listener, event)
    for (const listener of this.#all) call(listener, event)
  }

  /** The next event of this type (for which `accept` holds). Rejects with the signal's reason when it aborts first. */
  next<T extends E['type']>(
    type: T,
    options: { readonly accept?: (event: EventOf<E, T>) => boolean; readonly signal?: AbortSignal } = {},
  ): Promise<EventOf<E, T>> {
    const { accept, signal } = options
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason)
      const abort = (): void => {
        unsubscribe()
        reject(signal?.reason)
      }
      const unsubscribe = this.on(type, (event) => {
        if (accept !== undefined && !accept(event)) return
        unsubscribe()
        signal?.removeEventListener('abort', abort)
        resolve(event)
      })
      signal?.addEventListener('abort', abort, { once: true })
    })
  }
}

function call<E>(listener: (event: E) => void, event: E): void {
  try {
    listener(event)
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
