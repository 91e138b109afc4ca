import { limitBody } from './answer-limit.js'
import type { SignedRequest } from './http2-exchange.js'
import type { SdkRequest } from './request-template.js'

/** The part of a command's middleware stack that is used here: that of every command of every client fits it. */
interface Stack {
  add(middleware: DeserializeMiddleware, options: DeserializeOptions): void
}

type DeserializeMiddleware = (next: SendRequest, context: object) => SendRequest

type SendRequest = (args: { readonly request: unknown }) => Promise<{ readonly response: CommandAnswer }>

interface DeserializeOptions {
  readonly name: string
  readonly step: 'deserialize'
  readonly priority: 'low'
  readonly override: true
}

export interface CommandAnswer {
  readonly statusCode: number
  readonly headers: Record<string, string>
  body: unknown
}

/**
 * Makes the SDK send this command by `transport` in place of its client's request handler. All else stays the client's: endpoint,
 * credentials, signature, middleware, and the exception that a refusal becomes.
 */
export function sendOver(
  command: { readonly middlewareStack: object },
  transport: (request: SignedRequest) => Promise<CommandAnswer>,
): void {
  addLast(command, TRANSPORT, () => async (args) => ({ response: await transport(args.request as SignedRequest) }))
}

/** Tells when the headers of the answer to this command are here, and holds its body to a length. */
export function takeAnswer(
  command: { readonly middlewareStack: object },
  { begun, maxAnswerBytes }: { readonly begun: () => void; readonly maxAnswerBytes: number },
): void {
  addLast(command, 'answerTaker', (next) => async (args) => {
    const answer = await next(args)
    begun()
    limitBody(answer.response, maxAnswerBytes)
    return answer
  })
}

/** Shows each request of this command as it goes to the client's request handler, and what the SDK has found out about the call. */
export function observeRequest(
  command: { readonly middlewareStack: object },
  see: (request: SdkRequest, context: object) => void,
): void {
  addLast(command, TRANSPORT, (next, context) => (args) => {
    see(args.request as SdkRequest, context)
    return next(args)
  })
}

const TRANSPORT = 'transportOfOurs'

/** Among the last of the last step: what comes after it is the handler. */
function addLast(command: { readonly middlewareStack: object }, name: string, middleware: DeserializeMiddleware): void {
  const stack = command.middlewareStack as Stack
  stack.add(middleware, { name, step: 'deserialize', priority: 'low', override: true })
}
