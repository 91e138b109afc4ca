import type { SignedRequest } from './http2-exchange.js'

/** The part of a command's middleware stack that is used here: that of every command of every client fits it. */
interface Stack {
  add(middleware: DeserializeMiddleware, options: DeserializeOptions): void
}

type DeserializeMiddleware = () => (args: { readonly request: unknown }) => Promise<{ readonly response: CommandAnswer }>

interface DeserializeOptions {
  readonly name: string
  readonly step: 'deserialize'
  readonly priority: 'low'
  readonly override: true
}

export interface CommandAnswer {
  readonly statusCode: number
  readonly headers: Record<string, string>
  readonly body: Uint8Array | AsyncIterable<Uint8Array>
}

/**
 * Makes the SDK send this command by `transport` in place of its client's request handler. All else stays the client's: endpoint,
 * credentials, signature, middleware, and the exception that a refusal becomes.
 */
export function sendOver(
  command: { readonly middlewareStack: object },
  transport: (request: SignedRequest) => Promise<CommandAnswer>,
): void {
  const stack = command.middlewareStack as Stack
  // The last of the last step: what comes after it would be the handler.
  stack.add(() => async (args) => ({ response: await transport(args.request as SignedRequest) }), {
    name: 'transportOfOurs',
    step: 'deserialize',
    priority: 'low',
    override: true,
  })
}
