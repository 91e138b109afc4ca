import type { Attempt } from './one-attempt.js'

/** An operation that is called all the time, as the SDK's commands have it. */
export interface DataOperation<Client, Input extends object, Output extends object> {
  readonly name: string
  /** Members of its input by which the SDK may choose another endpoint: ARNs name accounts. */
  readonly places: readonly string[]
  /** A fresh command, to be sent once, given to `prepare` before. */
  send(client: Client, input: Input, attempt: Attempt, prepare?: (command: SdkCommand) => void): Promise<Output>
}

export interface SdkCommand {
  readonly middlewareStack: object
}
