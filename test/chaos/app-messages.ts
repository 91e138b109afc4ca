/** What the coordinator tells an app; facts come back another way (facts.ts). */
export interface ProducerSetup {
  readonly producer: number
  readonly endpoint: string
  readonly stream: string
  readonly ordering: 'none' | 'perShard' | 'perKey'
  readonly aggregation: 'shard' | 'key'
  readonly recordTtlMs: number
  readonly maxBufferedBytes: number
  /** Undefined: as many as there is room for. */
  readonly recordsPerSecond: number | undefined
  readonly meanBytes: number
}

export interface WorkerSetup {
  readonly name: string
  readonly stream: string
  readonly applicationName: string
  readonly kinesisEndpoint: string
  readonly dynamodbEndpoint: string
  readonly failoverTimeMs: number
  readonly fanOut: boolean
}

export type ToProducer =
  | { readonly say: 'run'; readonly setup: ProducerSetup }
  /** From now on records are of this size. */
  | { readonly say: 'load'; readonly meanBytes: number }
  | { readonly say: 'stop' | 'measure' }
export type ToWorker = { readonly say: 'run'; readonly setup: WorkerSetup } | { readonly say: 'stop' | 'measure' }

/** What a service is asked, by call. */
export interface ServiceCalls {
  readonly start: { readonly input: undefined; readonly output: string }
  /** A call of Kinesis' API, beside HTTP and its faults. */
  readonly model: { readonly input: { readonly operation: string; readonly input: object }; readonly output: object }
  /** Its port is closed for so long, and it comes back with its data. */
  readonly restart: { readonly input: { readonly downMs: number }; readonly output: undefined }
  /** From now on, or no longer, every call is refused as by a service that fails. */
  readonly fail: { readonly input: boolean; readonly output: undefined }
}

export type ServiceCall = keyof ServiceCalls
export type ServiceQuestion = { readonly id: number; readonly call: ServiceCall; readonly input: unknown }
export type ServiceAnswer = { readonly id: number; readonly output: unknown } | { readonly id: number; readonly error: string }
