/**
 * How much may be in the producer at once, counted from acceptance to settlement over all stages, retries included. What does not fit
 * waits in line; while someone waits nobody overtakes, so that a large record is not starved by small ones.
 *
 * `bytes` are the callers' own: data and partition keys. While records are packed their bytes exist twice (the caller's and the packed
 * copy), so the process holds up to about twice `maxBytes`.
 */
export class Admission<T extends { readonly bytes: number }> {
  readonly #maxBytes: number
  readonly #maxRecords: number
  #bytes = 0
  #records = 0
  readonly #line: T[] = []
  #lineStart = 0
  /** The most that was turned away. */
  #wanted = 0

  constructor(limits: { readonly maxBytes: number; readonly maxRecords: number }) {
    this.#maxBytes = limits.maxBytes
    this.#maxRecords = limits.maxRecords
  }

  get bytes(): number {
    return this.#bytes
  }

  get records(): number {
    return this.#records
  }

  get waiting(): number {
    return this.#line.length - this.#lineStart
  }

  /** A copy. */
  get line(): readonly T[] {
    return this.#line.slice(this.#lineStart)
  }

  /** Whether so many bytes could be taken at once. */
  hasRoomFor(bytes: number): boolean {
    return this.#line.length === this.#lineStart && this.#fits(bytes)
  }

  /** Takes room that is there. */
  enter(bytes: number): void {
    this.#bytes += bytes
    this.#records++
  }

  /** Takes room at once, or says no. `force`: in any case. */
  take(item: T, force = false): boolean {
    if (!force && (this.waiting > 0 || !this.#fits(item.bytes))) return false
    this.#bytes += item.bytes
    this.#records++
    return true
  }

  /** Notes what was turned away instead of waiting, for `hasRoom`. */
  turnAway(item: T): void {
    if (item.bytes > this.#wanted) this.#wanted = item.bytes
  }

  /** Stands in line. */
  wait(item: T): void {
    this.#line.push(item)
  }

  /** The first in line if there is room for it now; it has taken the room. */
  next(): T | undefined {
    const first = this.#line[this.#lineStart]
    if (first === undefined || !this.#fits(first.bytes)) return undefined
    this.#lineStart++
    if (this.#lineStart > 1000 && this.#lineStart * 2 > this.#line.length) {
      this.#line.splice(0, this.#lineStart)
      this.#lineStart = 0
    }
    this.#bytes += first.bytes
    this.#records++
    return first
  }

  /** Of so many records, whose bytes are `bytes`. */
  free({ bytes }: { readonly bytes: number }, records = 1): void {
    this.#bytes -= bytes
    this.#records -= records
  }

  /**
   * Whether the largest that was turned away since the last time would fit now. Not simply "not full": someone who offers a large record again as soon
   * as one byte is free would spin.
   */
  get hasRoom(): boolean {
    return this.waiting === 0 && this.#fits(this.#wanted)
  }

  /** Room was found: what was turned away before no longer counts. */
  forgetTurnedAway(): void {
    this.#wanted = 0
  }

  #fits(bytes: number): boolean {
    return this.#records < this.#maxRecords && this.#bytes + bytes <= this.#maxBytes
  }
}
