import { ServiceProcess } from './service-process.js'

/** `lease-table`: DynamoDB for the leases of one worker, faster than `dynamodb` (lease-table.ts). */
type Service = 'kinesis' | 'dynamodb' | 'lease-table'

export type ToService = { readonly type: 'start'; readonly service: Service } | { readonly type: 'cpu' }

export type FromService =
  | { readonly type: 'started'; readonly endpoint: string }
  /** Of its process, since its start. */
  | { readonly type: 'cpu'; readonly ms: number }

/** Our side of a local service's process. One question at a time. */
export class LocalServiceProcess implements AsyncDisposable {
  readonly #process = new ServiceProcess<ToService, FromService>('./local-service.ts')
  endpoint = ''

  private constructor() {}

  static async start(service: Service): Promise<LocalServiceProcess> {
    const started = new LocalServiceProcess()
    const { endpoint } = await started.#process.ask({ type: 'start', service }, 'started')
    started.endpoint = endpoint
    return started
  }

  async cpuMs(): Promise<number> {
    return (await this.#process.ask({ type: 'cpu' }, 'cpu')).ms
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]()
  }
}
