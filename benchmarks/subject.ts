import type { Measurement } from './rounds.js'

export interface SubjectOptions {
  readonly rounds: number
  readonly progress: (step: string) => void
}

export interface Measured {
  /** Several figures of one run, each with a name of its own. */
  readonly measurements: readonly Measurement[]
  /** For a person, above the table. */
  readonly report: string | undefined
}

/** A benchmark that needs services in processes of their own. Throws WrongResult. */
export type Subject = (options: SubjectOptions) => Promise<Measured>
