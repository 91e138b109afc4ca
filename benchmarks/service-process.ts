import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { WrongResult } from './rounds.js'

/** What a process of the benchmarks says when it cannot do what it was asked for. */
export interface Refusal {
  readonly type: 'refused'
  readonly message: string
  /** What it found is not what was to be found. */
  readonly isWrongResult: boolean
}

interface Message {
  readonly type: string
}

/** Our side of what runs in a process of its own, so that its work is not that of others. One question at a time. */
export class ServiceProcess<Question extends Message, Answer extends Message> implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>

  /** `file`: beside this one. It answers each question with one message, and ends when this process has gone. */
  constructor(file: string) {
    // Our own arguments (the TypeScript loader and the export condition) are inherited, but not those that profile this process.
    const execArgv = process.execArgv.filter((argument) => !/^--(cpu|heap)-prof/.test(argument))
    this.#child = fork(fileURLToPath(new URL(file, import.meta.url)), { execArgv })
    this.#exited = once(this.#child, 'exit')
  }

  /** Throws what the process threw; a WrongResult stays one. */
  async ask<T extends Answer['type']>(question: Question, answer: T): Promise<Extract<Answer, { type: T }>> {
    const gone = this.#exited.then(() => {
      throw new Error(`The service ended by itself (exit code ${this.#child.exitCode})`)
    })
    this.#child.send(question)
    const [message] = (await Promise.race([once(this.#child, 'message'), gone])) as [Answer | Refusal]
    if (isRefusal(message)) throw message.isWrongResult ? new WrongResult(message.message) : new Error(message.message)
    if (message.type !== answer) throw new Error(`The service answered '${message.type}' where '${answer}' was asked for`)
    return message as Extract<Answer, { type: T }>
  }

  /** Ends the process and resolves when it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.connected) this.#child.disconnect()
    await this.#exited
  }
}

function isRefusal(message: Message): message is Refusal {
  return message.type === 'refused'
}

/** Its side: answers each question, in the order in which they come, and ends with the process that asks. */
export function answerQuestions<Question, Answer extends Message>(
  answer: (question: Question) => Answer | Promise<Answer>,
): void {
  const tell = (message: Answer | Refusal): void => {
    if (process.connected) process.send!(message)
  }
  process.on('message', async (question: Question) => {
    try {
      tell(await answer(question))
    } catch (error) {
      tell({ type: 'refused', message: (error as Error).message, isWrongResult: error instanceof WrongResult })
    }
  })
  // Ctrl-C reaches every process of the terminal. When the one that measures is gone, so are we.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => {})
  process.on('disconnect', () => process.exit(0))
}

/** Processor time of this process since its start. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
