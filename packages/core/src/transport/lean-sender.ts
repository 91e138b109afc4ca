import { type AnswerBody, answerBody, bodyAgain, type SdkAnswer } from './answer-body.js'
import { observeRequest, sendOver } from './command-transport.js'
import type { DataOperation } from './data-operation.js'
import { type Exchanged, LeanHandler } from './lean-handler.js'
import type { Attempt } from './one-attempt.js'
import { RequestTemplate, type SdkRequest } from './request-template.js'
import { decodedAnswer, MalformedAnswerError, type WireFormat } from './wire-format.js'

/** Streams or tables of one connection whose templates are kept. */
const MOST_TEMPLATES = 1000

/** What the SDK needs of a client's settings, and we too. */
interface HandlerConfig {
  readonly requestHandler: {
    handle(request: object, options: { readonly abortSignal: AbortSignal }): Promise<{ readonly response: SdkAnswer }>
  }
}

/**
 * Sends the calls of one client without the SDK's way of making a request and reading an answer, which costs several times as much as the rest
 * of a small call. Where a request goes, which headers it has and how it is signed is learned from a request that the SDK has sent. Only what is
 * known to be alike goes the short way: a call that is not, and each answer that is not a plain success, goes through the SDK, the answer
 * without being sent again. So errors are the SDK's own, and it notices a wrong clock. And after any failure the next call goes the SDK's way,
 * and is learned from.
 *
 * Measured (`npm run bench -- request`, docs/performance.md): a call takes a third (PutRecords of 500) to less than a tenth (an empty GetRecords, a renewal) of the SDK's time.
 */
export class LeanSender<Client extends { readonly config: object }> {
  readonly #client: Client
  readonly #format: WireFormat
  readonly #templates = new Map<string, RequestTemplate>()

  /** `format`: that which the client speaks. */
  constructor(client: Client, format: WireFormat) {
    this.#client = client
    this.#format = format
  }

  async send<Input extends object, Output extends object>(
    operation: DataOperation<Client, Input, Output>,
    input: Input,
    attempt: Attempt,
  ): Promise<Output> {
    const place = placeOf(operation, input)
    const template = this.#templates.get(place)
    const body = template === undefined ? undefined : this.#format.encode(operation.name, input)
    const signed = body === undefined ? undefined : await template!.signed(body)
    if (signed === undefined) return this.#learn(operation, input, place, attempt)
    if (attempt.stopped !== undefined) throw attempt.stopped
    try {
      const { response, body: answer } = await this.#exchanged(signed.request, attempt)
      if (attempt.stopped !== undefined) throw attempt.stopped
      const output = answer?.is === 'whole' ? this.#decoded(operation.name, response, answer.bytes) : undefined
      if (output === undefined) return await this.#readBySdk(operation, input, { response, body: answer }, attempt)
      signed.accepted(response)
      return output as Output
    } catch (error) {
      this.#templates.delete(place)
      throw error
    }
  }

  async #exchanged(request: SdkRequest, attempt: Attempt): Promise<Exchanged> {
    const { requestHandler } = this.#client.config as unknown as HandlerConfig
    if (requestHandler instanceof LeanHandler) return requestHandler.exchange(request, attempt)
    const { response } = await requestHandler.handle(request, { abortSignal: attempt.signal })
    attempt.begun()
    return { response, body: await answerBody(response.body, attempt.maxAnswerBytes) }
  }

  /** Undefined where it is not a plain success that can be read. */
  #decoded(operation: string, response: SdkAnswer, bytes: Uint8Array): object | undefined {
    if (!(response.statusCode >= 200 && response.statusCode < 300)) return undefined
    try {
      const output = decodedAnswer(this.#format, operation, response.headers['content-type'], bytes)
      return output && Object.assign(output, { $metadata: metadataOf(response) })
    } catch {
      return undefined
    }
  }

  async #learn<Input extends object, Output extends object>(
    operation: DataOperation<Client, Input, Output>,
    input: Input,
    place: string,
    attempt: Attempt,
  ): Promise<Output> {
    let template: RequestTemplate | undefined
    const learn = (request: SdkRequest, context: object): void => {
      template = RequestTemplate.of(request, context, this.#client.config, this.#format.contentType)
    }
    const output = await operation.send(this.#client, input, attempt, (command) => observeRequest(command, learn))
    if (template !== undefined && !isLambda()) {
      if (this.#templates.size >= MOST_TEMPLATES) this.#templates.clear()
      this.#templates.set(place, template)
    }
    return output
  }

  /** The SDK makes of an answer what it always makes, mostly an error. Nothing is sent. */
  async #readBySdk<Input extends object, Output extends object>(
    operation: DataOperation<Client, Input, Output>,
    input: Input,
    { response, body }: { readonly response: SdkAnswer; readonly body: AnswerBody | undefined },
    attempt: Attempt,
  ): Promise<Output> {
    if (body !== undefined) response.body = bodyAgain(body)
    let isRead = false
    const transport = async (): Promise<SdkAnswer> => {
      isRead = true
      return response
    }
    try {
      return await operation.send(this.#client, input, attempt, (command) => sendOver(command, transport))
    } catch (error) {
      if (isRead) throw error
      // What comes before the reading has failed: credentials that cannot be had now, for one. That is no word about the call, and so no cause.
      const why = error instanceof Error ? error.message : String(error)
      const { statusCode, headers } = response
      const unread = new MalformedAnswerError(
        `The answer to ${operation.name}, HTTP status ${statusCode}, could not be read: ${why}`,
      )
      // Without its status: nobody has found out what it stands for.
      throw Object.defineProperty(unread, '$response', { value: { headers } })
    }
  }
}

function placeOf(
  { name: operation, places }: { readonly name: string; readonly places: readonly string[] },
  input: object,
): string {
  let place = operation
  for (const name of places) {
    const value: unknown = Reflect.get(input, name)
    if (value !== undefined) place += ` ${name}=${String(value)}`
  }
  return place
}

/** As the SDK has it, and with what its retries would tell. */
function metadataOf({ statusCode, headers }: SdkAnswer): object {
  return {
    httpStatusCode: statusCode,
    requestId: headers['x-amzn-requestid'] ?? headers['x-amzn-request-id'] ?? headers['x-amz-request-id'],
    extendedRequestId: headers['x-amz-id-2'],
    cfId: headers['x-amz-cf-id'],
    attempts: 1,
    totalRetryDelay: 0,
  }
}

/** There each invocation has a header of its own, by which AWS detects recursion. */
function isLambda(): boolean {
  return process.env.AWS_LAMBDA_FUNCTION_NAME !== undefined
}
