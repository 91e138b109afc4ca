import type { KinesisClient } from '@aws-sdk/client-kinesis'
import { isCborContent, isEventStream, type WireFormat } from './wire-format.js'

/** What the SDK's serialisation middleware asks of a protocol, and what it hands to it. */
interface SdkProtocol {
  getShapeId(): string
  getRequestType(): unknown
  getResponseType(): unknown
  getPayloadCodec(): unknown
  setSerdeContext(context: object): void
  updateServiceEndpoint(request: object, endpoint: object): object
  serializeRequest(operation: Operation, input: object, context: object): Promise<Request>
  deserializeResponse(operation: Operation, context: object, response: Response): Promise<object>
}

interface Operation {
  readonly name: string
}

interface Request {
  readonly headers: Record<string, string>
  body?: unknown
}

interface Response {
  readonly statusCode: number
  readonly headers: Record<string, string>
  readonly body: unknown
}

/** Makes a client speak this format from its next call on. */
export function speakFormat(client: KinesisClient, format: WireFormat): void {
  // The SDK's own type of a protocol is of its internals; its middleware reads `config.protocol` anew for each request.
  const config = client.config as unknown as { protocol: SdkProtocol }
  config.protocol = new WireProtocol(config.protocol, format)
}

/** A 2xx answer to a CBOR request that is not CBOR: the endpoint does not speak it. */
export class NotCborError extends Error {
  override readonly name = 'NotCborError'
}

/**
 * The SDK's protocol for Kinesis with the bodies in a format of ours. Everything else stays the SDK's: endpoint and headers of a request,
 * `$metadata` of an answer, and the exception classes, because an error body is handed to the SDK as the JSON that it expects.
 */
class WireProtocol implements SdkProtocol {
  readonly #sdk: SdkProtocol
  readonly #format: WireFormat

  constructor(sdk: SdkProtocol, format: WireFormat) {
    this.#sdk = sdk
    this.#format = format
  }

  getShapeId(): string {
    return this.#sdk.getShapeId()
  }

  getRequestType(): unknown {
    return this.#sdk.getRequestType()
  }

  getResponseType(): unknown {
    return this.#sdk.getResponseType()
  }

  getPayloadCodec(): unknown {
    return this.#sdk.getPayloadCodec()
  }

  setSerdeContext(context: object): void {
    this.#sdk.setSerdeContext(context)
  }

  updateServiceEndpoint(request: object, endpoint: object): object {
    return this.#sdk.updateServiceEndpoint(request, endpoint)
  }

  async serializeRequest(operation: Operation, input: object, context: object): Promise<Request> {
    const body = this.#format.encode(operation.name, input)
    if (body === undefined) return this.#sdk.serializeRequest(operation, input, context)
    const request = await this.#sdk.serializeRequest(operation, {}, context)
    request.headers['content-type'] = this.#format.contentType
    request.body = body
    return request
  }

  async deserializeResponse(operation: Operation, context: object, response: Response): Promise<object> {
    const expectsCbor = isCborContent(this.#format.contentType)
    const isCbor = isCborContent(response.headers['content-type'])
    if (response.statusCode >= 300) {
      if (!isCbor) return this.#sdk.deserializeResponse(operation, context, response)
      const error = JSON.stringify(this.#format.decoder(operation.name)?.(await bytesOf(response.body)), asText)
      return this.#sdk.deserializeResponse(operation, context, replaced(response, Buffer.from(error ?? '{}')))
    }
    if (isEventStream(response.headers['content-type'])) return this.#sdk.deserializeResponse(operation, context, response)
    if (expectsCbor && !isCbor) {
      throw new NotCborError(`A CBOR request was answered with content type ${response.headers['content-type'] ?? '(none)'}`)
    }
    const decode = this.#format.decoder(operation.name)
    if (decode === undefined) return this.#sdk.deserializeResponse(operation, context, response)
    const body = decode(await bytesOf(response.body))
    const metadataAlone = await this.#sdk.deserializeResponse(operation, context, replaced(response, new Uint8Array(0)))
    return Object.assign(body, metadataAlone)
  }
}

function replaced(response: Response, body: Uint8Array): Response {
  return { statusCode: response.statusCode, headers: response.headers, body }
}

function asText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}

/** The whole body. In one piece and without a copy where it came in one chunk. */
async function bytesOf(body: unknown): Promise<Uint8Array> {
  if (body === undefined || body === null) return new Uint8Array(0)
  if (body instanceof Uint8Array) return body
  const chunks: Uint8Array[] = []
  for await (const chunk of body as AsyncIterable<Uint8Array>) chunks.push(chunk)
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
}
