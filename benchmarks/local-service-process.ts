import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export type ToService = { readonly type: 'start'; readonly service: 'kinesis' | 'dynamodb' } | { readonly type: 'cpu' }

export type FromService =
  | { readonly type: 'started'; readonly endpoint: string }
  /** Of its process, since its start. */
  | { readonly type: 'cpu'; readonly ms: number }

/** Our side of a local service's process. One question at a time. */
export class LocalServiceProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  endpoint = ''

  private constructor() {
    // Our own arguments (the TypeScript loader and the export condition) are inherited.
    this.#child = fork(fileURLToPath(new URL('./local-service.ts', import.meta.url)))
    this.#exited = once(this.#child, 'exit')
  }

  static async start(service: 'kinesis' | 'dynamodb'): Promise<LocalServiceProcess> {
    const started = new LocalServiceProcess()
    const { endpoint } = await started.#ask({ type: 'start', service }, 'started')
    started.endpoint = endpoint
    return started
  }

  async cpuMs(): Promise<number> {
    return (await this.#ask({ type: 'cpu' }, 'cpu')).ms
  }

  async #ask<T extends FromService['type']>(question: ToService, answer: T): Promise<Extract<FromService, { type: T }>> {
    const gone = this.#exited.then(() => {
      throw new Error(`The local service ended by itself (exit code ${this.#child.exitCode})`)
    })
    this.#child.send(question)
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
