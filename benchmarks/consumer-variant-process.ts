import type { ReadPlace } from './http-consumers.js'
import type { ProcessorShares } from './processor-shares.js'
import { ServiceProcess } from './service-process.js'

/** Ours first, then the peer that the goal is about. */
export const CONSUMER_VARIANTS = [
  'eachBatch',
  'stock SDK loop (JSON) + aws-kinesis-agg',
  'lifion-kinesis',
  'ours, eachRecord',
  'ours, eachRecord without promises',
] as const

export type ConsumerVariant = (typeof CONSUMER_VARIANTS)[number]

/** All that is to be read, and how. */
export interface ReadTask extends ReadPlace {
  /** What the records say that they are of. */
  readonly turn: number
  readonly records: number
  /** Of our consumers. */
  readonly wire: 'json' | 'auto'
}

export interface ReadTurn {
  readonly cpuNs: number
  readonly wallNs: number
}

export type ToVariant = { readonly variant: ConsumerVariant; readonly task: ReadTask } & (
  | { readonly type: 'verify' | 'profile' }
  /** `expected`: the sum that the verified run came to. */
  | { readonly type: 'measure'; readonly expected: number }
)

export type FromVariant =
  | { readonly type: 'verified'; readonly sum: number }
  | ({ readonly type: 'measured' } & ReadTurn)
  | { readonly type: 'profiled'; readonly shares: ProcessorShares }

/** One way to read a stream, in a process that does nothing else: what others leave behind, garbage and timers, is not in its figures. */
export class ConsumerVariantProcess implements AsyncDisposable {
  readonly variant: ConsumerVariant
  readonly #process = new ServiceProcess<ToVariant, FromVariant>('./consumer-variant.ts')

  constructor(variant: ConsumerVariant) {
    this.variant = variant
  }

  /** Looks at each record. Resolves to the sum that belongs to them in the form in which this variant gives them. Throws WrongResult. */
  async verify(task: ReadTask): Promise<number> {
    return (await this.#process.ask({ type: 'verify', variant: this.variant, task }, 'verified')).sum
  }

  /** From the making of the consumer until it is closed, leases and all; the wall clock from the first record to the last. Throws WrongResult. */
  async measure(task: ReadTask, expected: number): Promise<ReadTurn> {
    const { cpuNs, wallNs } = await this.#process.ask({ type: 'measure', variant: this.variant, task, expected }, 'measured')
    return { cpuNs, wallNs }
  }

  async profile(task: ReadTask): Promise<ProcessorShares> {
    return (await this.#process.ask({ type: 'profile', variant: this.variant, task }, 'profiled')).shares
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]()
  }
}
