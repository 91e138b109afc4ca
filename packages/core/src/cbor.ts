/**
 * CBOR (RFC 8949) as Kinesis speaks it in `application/x-amz-cbor-1.1`, the Java SDK's protocol for this service. Small on purpose: the
 * types that the API has, and no option.
 *
 * Timestamps are tag 1. Kinesis writes them as whole MILLISECONDS where the RFC says seconds; a float is seconds, as the RFC says.
 */
export { decodeCbor } from './cbor-decoder.js'
export { encodeCbor } from './cbor-encoder.js'
export { CborError } from './cbor-error.js'
