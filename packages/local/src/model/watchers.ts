/** Those who are told when something changes. It is told in the midst of the change: they note it and act afterwards. */
export class Watchers {
  readonly #tell = new Set<() => void>()

  /** Returns what ends it. */
  add(tell: () => void): () => void {
    // A function of its own, so that one who watches twice is told twice and leaves twice.
    const own = (): void => tell()
    this.#tell.add(own)
    return () => void this.#tell.delete(own)
  }

  tell(): void {
    for (const tell of this.#tell) tell()
  }
}
