import { md5 } from '@shardwise/aggregation/md5'
import type { Random } from '@shardwise/core/random'

const VERSION = [0, 0, 0, 0, 0, 0, 0, 1]
const TAG_BYTES = 16

/**
 * Makes texts that callers can only hand back: shard iterators and page tokens. A token is base64 of a version, a tag over the secret
 * and the content, and the content masked by the tag. It keeps honest programs from depending on what is inside and finds tokens
 * that were damaged or made elsewhere; it is no protection against an attacker.
 */
export class OpaqueTokens {
  readonly #secret: Uint8Array

  constructor(random: Random) {
    this.#secret = Uint8Array.from({ length: 16 }, () => Math.floor(random() * 256))
  }

  seal(fields: readonly (string | number)[]): string {
    const content = Buffer.from(JSON.stringify(fields))
    const tag = this.#tag(content)
    return Buffer.concat([Buffer.from(VERSION), tag, masked(content, tag)]).toString('base64')
  }

  /** The fields, or undefined if this is none of our tokens. */
  open(token: string): (string | number)[] | undefined {
    const bytes = Buffer.from(token, 'base64')
    const start = VERSION.length + TAG_BYTES
    if (bytes.length <= start || bytes.toString('base64') !== token) return undefined
    if (VERSION.some((byte, index) => bytes[index] !== byte)) return undefined
    const tag = bytes.subarray(VERSION.length, start)
    const content = masked(bytes.subarray(start), tag)
    return this.#tag(content).every((byte, index) => byte === tag[index])
      ? (JSON.parse(Buffer.from(content).toString()) as (string | number)[])
      : undefined
  }

  #tag(content: Uint8Array): Uint8Array {
    return md5(Buffer.concat([this.#secret, content]))
  }
}

function masked(content: Uint8Array, tag: Uint8Array): Uint8Array {
  return content.map((byte, index) => byte ^ tag[index % TAG_BYTES]!)
}
