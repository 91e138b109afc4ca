import { isCborContent } from './wire-format.js'

export type ReadChoice = 'json' | 'cbor' | 'negotiate'
export type WireEncoding = 'json' | 'cbor'

/** Which encoding reads use: `untried` sends control calls in CBOR to find out, and record reads in JSON until then. */
type State = 'untried' | 'cbor' | 'json'

/**
 * CBOR is what the Java SDK sends Kinesis, yet undocumented for others: so reads, which can be repeated without harm, find out whether the
 * endpoint takes it. JSON on the first refusal, and for good. One of these belongs to a connection, and so to an endpoint.
 */
export class ReadNegotiation {
  #state: State
  readonly #mayFallBack: boolean

  constructor(choice: ReadChoice) {
    this.#state = choice === 'negotiate' ? 'untried' : choice
    this.#mayFallBack = choice === 'negotiate'
  }

  get state(): State {
    return this.#state
  }

  encodingFor(call: 'control' | 'records'): WireEncoding {
    if (this.#state === 'untried') return call === 'control' ? 'cbor' : 'json'
    return this.#state
  }

  /** A call in this encoding was answered properly. */
  accepted(encoding: WireEncoding): void {
    if (encoding === 'cbor' && this.#state === 'untried') this.#state = 'cbor'
  }

  /** What came in this encoding cannot be decoded: JSON from now on, where that may be chosen. */
  distrust(encoding: WireEncoding): void {
    if (encoding === 'cbor' && this.#mayFallBack) this.#state = 'json'
  }

  /** A call in this encoding failed. True when it is to be sent again in JSON, as are all reads from now on. */
  fallsBack(encoding: WireEncoding, error: unknown): boolean {
    if (encoding === 'json' || !this.#mayFallBack) return false
    const refusal = judge(error)
    if (refusal === 'accepted') this.accepted(encoding)
    // A front end's own 5xx page says nothing about an endpoint that is known to speak CBOR.
    const refused = refusal === 'refused' || (refusal === 'unclear' && this.#state !== 'cbor')
    if (refused) this.#state = 'json'
    return refused
  }
}

const REFUSALS: ReadonlySet<string> = new Set([
  'SerializationException',
  'UnknownOperationException',
  'UnsupportedMediaTypeException',
  'InvalidContentTypeException',
  'NotCborError',
  'CborError',
  'MalformedAnswerError',
])
const UNSUPPORTED_MEDIA_TYPE = 415

/** What a failed CBOR call says about CBOR. A failure without any answer (no connection, timeout, no credentials) says nothing. */
function judge(error: unknown): 'accepted' | 'refused' | 'unclear' | 'silent' {
  const response = member(error, '$response')
  const status = member(response, 'statusCode')
  if (typeof status !== 'number') return 'silent'
  const name = member(error, 'name')
  if (status === UNSUPPORTED_MEDIA_TYPE || (typeof name === 'string' && REFUSALS.has(name))) return 'refused'
  const contentType = member(member(response, 'headers'), 'content-type')
  if (isCborContent(typeof contentType === 'string' ? contentType : undefined)) return 'accepted'
  return status >= 500 ? 'unclear' : 'refused'
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}
