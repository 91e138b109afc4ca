import { md5 } from './md5.js'
import { Md5Lanes } from './md5-lanes.js'
import { LANES, laneKernel } from './md5-lanes-kernel.js'
import { DIGEST_BYTES, MAGIC_BYTES } from './wire-format.js'

export type Digest = (bytes: Uint8Array) => Uint8Array

/** The part of a runtime in which OpenSSL's digest is looked for: `process` on Node, Bun and Deno, undefined in a browser. */
export interface BuiltinModules {
  readonly getBuiltinModule?: ((id: string) => unknown) | undefined
}

interface NodeCrypto {
  readonly hash?: (algorithm: string, data: Uint8Array, outputEncoding: 'buffer') => Uint8Array
}

/**
 * The MD5 to use for message bodies, tens of kilobytes each: OpenSSL's where the runtime has it (our own takes 1.7 times as long, Node 20, 50 KiB), else our
 * own. Reached without an import, so that the same file loads in a browser. Node in FIPS mode has the function but refuses MD5.
 */
export function bodyDigest(runtime: BuiltinModules | undefined): Digest {
  try {
    const hash = (runtime?.getBuiltinModule?.('node:crypto') as NodeCrypto | undefined)?.hash
    if (typeof hash === 'function') {
      const native: Digest = (bytes) => hash('md5', bytes, 'buffer')
      if (native(new Uint8Array(0)).length === DIGEST_BYTES) return native
    }
  } catch {
    // Not available here: the pure digest below gives the same bytes.
  }
  return md5
}

const digest = bodyDigest((globalThis as { readonly process?: BuiltinModules }).process)

/** Made with the first batch. Null where it cannot be. */
let lanes: Md5Lanes | null | undefined

function theLanes(): Md5Lanes | null {
  if (lanes === undefined) {
    const kernel = laneKernel()
    lanes = kernel === undefined ? null : new Md5Lanes(kernel)
  }
  return lanes
}

/** A digest, and the index of its aggregate. The bytes are valid during the call only. */
type Found = (index: number, digest: Uint8Array) => void

/** Of the messages in these aggregates, in whatever order. Many at once take a part of the time (md5-lanes-kernel.ts); one by itself is OpenSSL's. */
function digestEach(aggregates: readonly Uint8Array[], found: Found): void {
  const bodies = aggregates.map(bodyOf)
  const eightfold = bodies.length > 1 ? theLanes() : null
  const batched = eightfold === null ? 0 : bodies.length % LANES === 1 ? bodies.length - 1 : bodies.length
  eightfold?.digest(bodies.slice(0, batched), found)
  for (let i = batched; i < bodies.length; i++) found(i, digest(bodies[i]!))
}

const bodyOf = (aggregate: Uint8Array): Uint8Array => aggregate.subarray(MAGIC_BYTES, aggregate.length - DIGEST_BYTES)

/** Writes the trailers of aggregates that are complete but for these last sixteen bytes. */
export function writeTrailers(aggregates: readonly Uint8Array[]): void {
  digestEach(aggregates, (i, found) => {
    const aggregate = aggregates[i]!
    aggregate.set(found, aggregate.length - DIGEST_BYTES)
  })
}

/** Of each aggregate, whether its last sixteen bytes are the MD5 of what lies between them and the magic number. */
export function trailersMatch(aggregates: readonly Uint8Array[]): boolean[] {
  const matches: boolean[] = []
  digestEach(aggregates, (i, found) => {
    const aggregate = aggregates[i]!
    const trailer = aggregate.length - DIGEST_BYTES
    let differing = 0
    for (let at = 0; at < DIGEST_BYTES; at++) differing |= found[at]! ^ aggregate[trailer + at]!
    matches[i] = differing === 0
  })
  return matches
}
