import type { FetchedBatch, RecordSource, Retrieval } from './record-source.js'

/** A source that is made with the first read, when it is known where to begin. */
export class LateSource implements RecordSource {
  readonly #make: () => RecordSource
  #source: RecordSource | undefined

  constructor(make: () => RecordSource) {
    this.#make = make
  }

  get retrieval(): Retrieval | undefined {
    return this.#source?.retrieval
  }

  next(signal: AbortSignal): Promise<FetchedBatch> {
    this.#source ??= this.#make()
    return this.#source.next(signal)
  }
}
