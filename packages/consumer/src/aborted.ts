/** Resolves when the first of them aborts. */
export function aborted(...signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    if (signals.some((signal) => signal.aborted)) return resolve()
    const settle = (): void => {
      for (const signal of signals) signal.removeEventListener('abort', settle)
      resolve()
    }
    for (const signal of signals) signal.addEventListener('abort', settle)
  })
}
