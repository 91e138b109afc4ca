import { ServiceProcess } from './service-process.js'

export interface StubOptions {
  readonly shards: number
  readonly tls: boolean
  /** Milliseconds from request to answer, in addition to what the work takes. */
  readonly delayMs: number
}

/** Records that the stub's shards are to hold. */
export interface StubContents {
  readonly turn: number
  readonly records: number
  /** Bytes of records in one answer, about. */
  readonly answerBytes: number
}

export type ToStub =
  | { readonly type: 'start'; readonly options: StubOptions }
  /** From now on so many records of this turn are put. */
  | { readonly type: 'expect'; readonly turn: number; readonly records: number }
  | { readonly type: 'fill'; readonly contents: StubContents }
  | { readonly type: 'examine' }

export type FromStub =
  | { readonly type: 'started'; readonly endpoint: string }
  | { readonly type: 'expecting' }
  | { readonly type: 'filled'; readonly answers: number }
  /** `wrong`: what is not right about what was put since `expect`; undefined when each record came once, in its shard. */
  | ({ readonly type: 'examined'; readonly wrong: string | undefined } & StubCounts)

/** Since the last `expect`. */
export interface StubCounts {
  /** Data-plane requests: PutRecords, or GetRecords. */
  readonly requests: number
  /** Made since then. */
  readonly connections: number
  /** Processor time of the stub's process. */
  readonly cpuMs: number
}

/** Our side of the stub's process. One question at a time. */
export class StubKinesisProcess implements AsyncDisposable {
  readonly #process = new ServiceProcess<ToStub, FromStub>('./stub-kinesis.ts')
  endpoint = ''

  private constructor() {}

  static async start(options: StubOptions): Promise<StubKinesisProcess> {
    const stub = new StubKinesisProcess()
    stub.endpoint = (await stub.#process.ask({ type: 'start', options }, 'started')).endpoint
    return stub
  }

  async expect(turn: number, records: number): Promise<void> {
    await this.#process.ask({ type: 'expect', turn, records }, 'expecting')
  }

  /** Resolves to how many answers with records there are. */
  async fill(contents: StubContents): Promise<number> {
    return (await this.#process.ask({ type: 'fill', contents }, 'filled')).answers
  }

  examine(): Promise<StubCounts & { readonly wrong: string | undefined }> {
    return this.#process.ask({ type: 'examine' }, 'examined')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]()
  }
}
