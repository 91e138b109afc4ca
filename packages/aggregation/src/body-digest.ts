import { md5 } from './md5.js'
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
 * The MD5 to use for message bodies, tens of kilobytes each: OpenSSL's where the runtime has it, about twice as fast there, else our
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

/** Writes the trailer of an aggregate whose message ends at `bodyEnd`. Sixteen bytes must be free there. */
export function writeTrailer(aggregate: Uint8Array, bodyEnd: number): void {
  aggregate.set(digest(aggregate.subarray(MAGIC_BYTES, bodyEnd)), bodyEnd)
}

/** Whether the last sixteen bytes are the MD5 of what lies between them and the magic number. */
export function trailerMatches(aggregate: Uint8Array): boolean {
  const bodyEnd = aggregate.length - DIGEST_BYTES
  const expected = digest(aggregate.subarray(MAGIC_BYTES, bodyEnd))
  for (let i = 0; i < DIGEST_BYTES; i++) if (expected[i] !== aggregate[bodyEnd + i]) return false
  return true
}
