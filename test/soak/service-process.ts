import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Answer, Question, ServiceCall, ServiceCalls } from './service-messages.js'

interface Waiting {
  readonly resolve: (output: never) => void
  readonly reject: (error: Error) => void
}

/** The soak's side of the service's process. */
export class ServiceProcess {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  readonly #waiting = new Map<number, Waiting>()
  #asked = 0
  #stopping = false

  constructor(onFailure: (error: Error) => void) {
    // Our own arguments (the TypeScript loader and the export condition) are inherited.
    this.#child = fork(fileURLToPath(new URL('./service.ts', import.meta.url)))
    this.#exited = once(this.#child, 'exit').then(() => {
      const error = new Error(`The local service ended by itself (exit code ${this.#child.exitCode})`)
      for (const { reject } of this.#waiting.values()) reject(error)
      this.#waiting.clear()
      if (!this.#stopping) onFailure(error)
    })
    this.#child.on('message', (answer: Answer) => {
      const waiting = this.#waiting.get(answer.id)
      this.#waiting.delete(answer.id)
      if ('error' in answer) waiting?.reject(new Error(`The local service failed: ${answer.error}`))
      else waiting?.resolve(answer.output as never)
    })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  ask<C extends ServiceCall>(call: C, input: ServiceCalls[C]['input']): Promise<ServiceCalls[C]['output']> {
    return new Promise<ServiceCalls[C]['output']>((resolve, reject) => {
      const question: Question = { id: ++this.#asked, call, input }
      this.#waiting.set(question.id, { resolve, reject })
      this.#child.send(question, (error) => {
        if (error === null) return
        this.#waiting.delete(question.id)
        reject(error)
      })
    })
  }

  /** Ends the process and resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopping = true
    if (this.#child.connected) this.#child.disconnect()
    await this.#exited
  }
}
