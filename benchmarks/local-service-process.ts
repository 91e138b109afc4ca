import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export type ToService = { readonly type: 'start' } | { readonly type: 'cpu' }

export type FromService =
  | { readonly type: 'started'; readonly kinesisEndpoint: string; readonly dynamodbEndpoint: string }
  /** Of its process, since its start. */
  | { readonly type: 'cpu'; readonly ms: number }

/** Our side of the local service's process. One question at a time. */
export class LocalServiceProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  kinesisEndpoint = ''
  dynamodbEndpoint = ''

  private constructor() {
    // Our own arguments (the TypeScript loader and the export condition) are inherited.
    this.#child = fork(fileURLToPath(new URL('./local-service.ts', import.meta.url)))
    this.#exited = once(this.#child, 'exit')
  }

  static async start(): Promise<LocalServiceProcess> {
    const service = new LocalServiceProcess()
    const { kinesisEndpoint, dynamodbEndpoint } = await service.#ask('start', 'started')
    service.kinesisEndpoint = kinesisEndpoint
    service.dynamodbEndpoint = dynamodbEndpoint
    return service
  }

  async cpuMs(): Promise<number> {
    return (await this.#ask('cpu', 'cpu')).ms
  }

  async #ask<T extends FromService['type']>(type: ToService['type'], answer: T): Promise<Extract<FromService, { type: T }>> {
    const gone = this.#exited.then(() => {
      throw new Error(`The local service ended by itself (exit code ${this.#child.exitCode})`)
    })
    this.#child.send({ type } satisfies ToService)
    const [message] = (await Promise.race([once(this.#child, 'message'), gone])) as [FromService]
    if (message.type !== answer) throw new Error(`The local service answered '${message.type}' where '${answer}' was asked for`)
    return message as Extract<FromService, { type: T }>
  }

  /** Ends the process and resolves when it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.connected) this.#child.disconnect()
    await this.#exited
  }
}
