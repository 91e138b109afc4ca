/** When something was wrong between two parties, on machine time: what may explain a lost answer. */
export class Trouble {
  readonly #spans: { readonly from: number; to: number }[] = []

  /** Begins one that lasts until what is returned is called. */
  begin(at: number): (at: number) => void {
    const span = { from: at, to: Number.POSITIVE_INFINITY }
    this.#spans.push(span)
    return (end) => {
      span.to = Math.min(span.to, end)
    }
  }

  /** Over as soon as it began. */
  moment(at: number): void {
    this.begin(at)(at)
  }

  /** Whether there was any between these times. */
  between(from: number, to: number): boolean {
    return this.#spans.some((span) => span.from <= to && span.to >= from)
  }

  /** For how long there was any between these times, in all. */
  msBetween(from: number, to: number): number {
    return this.#spans.reduce((sum, span) => sum + Math.max(0, Math.min(to, span.to) - Math.max(from, span.from)), 0)
  }
}
