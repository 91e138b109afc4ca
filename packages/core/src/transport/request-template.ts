import { systemClock } from '../clock.js'
import { millisOf, RequestSignature, type SigningIdentity } from './request-signature.js'

/** A request as the SDK hands it from one middleware to the next. */
export interface SdkRequest {
  readonly protocol: string
  readonly hostname: string
  readonly port?: number | undefined
  readonly path: string
  readonly method: string
  readonly query: Readonly<Record<string, unknown>>
  readonly headers: Readonly<Record<string, string>>
  readonly body?: unknown
}

/** Who signs: https://smithy.io/2.0/spec/authentication-traits.html, as all of the SDK's schemes are. */
interface Signer {
  sign(request: object, identity: object, properties: object): Promise<SdkRequest>
  successHandler?(response: object, properties: object): void
}

interface SelectedScheme {
  readonly httpAuthOption: {
    readonly schemeId: string
    readonly identityProperties?: Readonly<Record<string, unknown>>
    readonly signingProperties?: Readonly<Record<string, unknown>>
  }
  readonly identity: SigningIdentity
  readonly signer: Signer
}

/** What the SDK's middlewares have found out about a call: of that the part which signs it. */
interface CallContext {
  readonly __smithy_context?: { readonly selectedHttpAuthScheme?: SelectedScheme }
}

/** Part of a client's settings, as the SDK has resolved them. */
export interface SigningConfig {
  readonly credentials: (options?: Readonly<Record<string, unknown>>) => Promise<object>
}

export interface SignedCall {
  readonly request: SdkRequest
  /** The service has answered, and accepted it: the SDK reads its clock from that. */
  accepted(response: object): void
}

/** The signature's own: made anew for each request. */
const SIGNED: ReadonlySet<string> = new Set(['authorization', 'x-amz-date', 'x-amz-content-sha256', 'x-amz-security-token'])
/** The same in each request of an operation to an endpoint, but for the length. */
const KNOWN: ReadonlySet<string> = new Set([
  ...SIGNED,
  ...['content-type', 'content-length', 'host', ':authority', 'x-amz-target', 'x-amz-user-agent', 'user-agent'],
])
/** Members of the SDK's context that belong to one call alone. */
const OF_CALL = ['commandInstance', 'abortSignal', 'metricsRecorder', 'selectedHttpAuthScheme'] as const
const SIGV4 = 'aws.auth#sigv4'
/** Between the time that the SDK has put into a request and that at which we look at it. */
const MOST_APART_MS = 5_000

/** What the SDK's signer finds in the properties of a call, and notes there for the handling of its answer. */
interface SigningProperties {
  readonly config?: { readonly systemClockOffset?: unknown }
  readonly _disableClockSkewCorrection?: unknown
}

/**
 * What is the same in all requests of one operation to one endpoint, taken from one that the SDK has made: address, headers, and how they are
 * signed. Another body is all that the next one needs.
 */
export class RequestTemplate {
  readonly #request: SdkRequest
  readonly #Request: new (
    members: SdkRequest,
  ) => SdkRequest
  readonly #signer: Signer
  readonly #accountId: string | undefined
  readonly #identityProperties: Readonly<Record<string, unknown>> | undefined
  readonly #signingProperties: Readonly<Record<string, unknown>>
  readonly #config: SigningConfig
  /** Undefined: only the client's signer knows how. */
  readonly #signature: RequestSignature | undefined

  /**
   * Undefined where the request has anything that is not known to be the same each time: a header of a middleware (tracing, for one), another
   * way to sign, a query.
   */
  static of(request: SdkRequest, context: object, config: object, contentType: string): RequestTemplate | undefined {
    const scheme = (context as CallContext).__smithy_context?.selectedHttpAuthScheme
    if (scheme?.httpAuthOption.schemeId !== SIGV4 || typeof scheme.signer.sign !== 'function') return undefined
    if (typeof (config as Partial<SigningConfig>).credentials !== 'function') return undefined
    const isPlain =
      request.method === 'POST' &&
      Object.keys(request.query).length === 0 &&
      request.headers['content-type'] === contentType &&
      request.headers.authorization?.startsWith('AWS4-HMAC-SHA256 ') === true &&
      Object.keys(request.headers).every((name) => KNOWN.has(name))
    return isPlain ? new RequestTemplate(request, scheme, config as SigningConfig) : undefined
  }

  private constructor(request: SdkRequest, { httpAuthOption, identity, signer }: SelectedScheme, config: SigningConfig) {
    const headers: Record<string, string> = {}
    for (const [name, value] of Object.entries(request.headers)) if (!SIGNED.has(name)) headers[name] = value
    this.#request = { ...request, headers, body: undefined }
    this.#Request = request.constructor as new (members: SdkRequest) => SdkRequest
    this.#signer = signer
    this.#accountId = identity.accountId
    this.#identityProperties = httpAuthOption.identityProperties
    this.#signingProperties = withoutCall(httpAuthOption.signingProperties ?? {})
    this.#config = config
    const offset = clockOffset(this.#signingProperties)
    const isOfNow =
      Math.abs(millisOf(request.headers['x-amz-date'] ?? '') - systemClock.wallTime() - (offset ?? 0)) < MOST_APART_MS
    this.#signature = offset !== undefined && isOfNow ? RequestSignature.of(request, identity) : undefined
  }

  /**
   * The request with this body, signed with the client's present credentials and its idea of the service's clock. Undefined when
   * these are another account's, which may have another endpoint. Rejects as the provider of credentials does.
   */
  async signed(body: Uint8Array): Promise<SignedCall | undefined> {
    const identity = (await this.#config.credentials(this.#identityProperties)) as SigningIdentity
    if (identity.accountId !== this.#accountId) return undefined
    return this.#signedByUs(body, identity) ?? (await this.#signedByClient(body, identity))
  }

  #signedByUs(body: Uint8Array, identity: SigningIdentity): SignedCall | undefined {
    const offset = clockOffset(this.#signingProperties)
    if (this.#signature === undefined || offset === undefined) return undefined
    const now = systemClock.wallTime()
    const headers = this.#signature.headers(body, identity, now + offset)
    if (headers === undefined) return undefined
    const { protocol, hostname, port, path, method, query } = this.#request
    const request = new this.#Request({ protocol, hostname, port, path, method, query, headers, body })
    return this.#call(request, { ...this.#signingProperties, _preRequestSystemClockOffset: offset, _requestSentAt: now })
  }

  async #signedByClient(body: Uint8Array, identity: SigningIdentity): Promise<SignedCall> {
    // The signer notes in them when it has signed this very request.
    const properties = { ...this.#signingProperties }
    const headers = { ...this.#request.headers, 'content-length': String(body.length) }
    return this.#call(await this.#signer.sign({ ...this.#request, headers, body }, identity, properties), properties)
  }

  #call(request: SdkRequest, properties: object): SignedCall {
    return { request, accepted: (response) => this.#signer.successHandler?.(response, properties) }
  }
}

/** What the SDK adds to the clock of this machine. Undefined where it is not known. */
function clockOffset(properties: SigningProperties): number | undefined {
  if (properties._disableClockSkewCorrection === true) return 0
  const offset = properties.config?.systemClockOffset
  return Number.isFinite(offset) ? (offset as number) : undefined
}

/** The context among them leads to the call's whole input, which would stay in memory. */
function withoutCall(properties: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const context = properties.context as { readonly __smithy_context?: Record<string, unknown> } | undefined
  if (context === undefined) return properties
  const about = { ...context.__smithy_context }
  for (const name of OF_CALL) delete about[name]
  return { ...properties, context: { ...context, __smithy_context: about } }
}
