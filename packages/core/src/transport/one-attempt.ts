import { takeAnswer } from './command-transport.js'

/** One attempt of a call, for whoever sends it. */
export interface Attempt {
  /** Made when it is first asked for. */
  readonly signal: AbortSignal
  /** Why nothing is to come of it any more. Undefined: it goes on. */
  readonly stopped: Error | undefined
  /**
   * What is to be done then, at once; one thing. In place of the signal, which need not be made then. Measured on Node 20 (`npm run bench -- request-http`, with
   * and without): with a signal and its listener an empty GetRecords takes 1.18 times the processor time.
   */
  onStop(act: (why: Error) => void): void
  /** To be called when the headers of the answer are here. */
  readonly begun: () => void
  /** Of its body, at most. */
  readonly maxAnswerBytes: number
}

/** The part of a command's middleware stack that is used here: that of every command of every client fits it. */
interface Stack {
  add(middleware: FinalizeMiddleware, options: FinalizeOptions): void
}

type FinalizeMiddleware = (next: (args: never) => Promise<Answer>) => (args: never) => Promise<Answer>

interface Answer {
  readonly response: unknown
  readonly output: { readonly $metadata: { attempts?: number; totalRetryDelay?: number } }
}

interface FinalizeOptions {
  readonly name: string
  readonly step: 'finalizeRequest'
  readonly priority: 'high'
  readonly tags: string[]
  readonly override: true
}

/**
 * Makes the SDK send this command once, whichever client it is given to: a middleware of a command replaces the client's of the same name,
 * and under this name every client keeps its retries. We own attempts, deadlines and order; a hidden retry would break all three
 * (a PutRecords that was sent twice can be written twice).
 *
 * `onAnswer` is given the HTTP response of a call that succeeds.
 */
export function sendOnce(
  command: { readonly middlewareStack: object },
  attempt: Attempt,
  onAnswer?: (response: unknown) => void,
): void {
  takeAnswer(command, attempt)
  const once: FinalizeMiddleware = (next) => async (args) => {
    const answer = await next(args)
    answer.output.$metadata.attempts = 1
    answer.output.$metadata.totalRetryDelay = 0
    onAnswer?.(answer.response)
    return answer
  }
  const stack = command.middlewareStack as Stack
  stack.add(once, { name: 'retryMiddleware', step: 'finalizeRequest', priority: 'high', tags: ['RETRY'], override: true })
}
