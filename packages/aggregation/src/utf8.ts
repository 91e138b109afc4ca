const encoder = new TextEncoder()
// A byte order mark is part of a key like any other character.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

// Up to these lengths a loop over the characters is faster than a native call (measured on Node 20). Reading stops at 12 because a
// longer string that was put together piece by piece must be flattened before it can serve as a key.
const WRITE_LOOP_MAX = 32
const READ_LOOP_MAX = 12

/** Bytes of `text` in UTF-8. A lone surrogate counts as U+FFFD, three bytes, which is how it will be written. */
export function utf8Bytes(text: string): number {
  const length = text.length
  let bytes = length
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) continue
    bytes++
    if (unit < 0x800) continue
    bytes++
    // A surrogate pair takes four bytes for its two units.
    if ((unit & 0xfc00) === 0xd800 && i + 1 < length && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) i++
  }
  return bytes
}

/** Writes `text`, which takes `bytes` bytes, and returns the position after it. The room must be there. */
export function writeUtf8(target: Uint8Array, at: number, text: string, bytes: number): number {
  if (bytes === text.length && bytes <= WRITE_LOOP_MAX) {
    for (let i = 0; i < bytes; i++) target[at + i] = text.charCodeAt(i)
  } else {
    encoder.encodeInto(text, target.subarray(at, at + bytes))
  }
  return at + bytes
}

/** The text of bytes [start, end). Invalid UTF-8 becomes U+FFFD, as in Java's protobuf for proto2 strings, hence in KCL. */
export function readUtf8(source: Uint8Array, start: number, end: number): string {
  if (end - start <= READ_LOOP_MAX) {
    let text = ''
    let i = start
    for (; i < end && source[i]! < 0x80; i++) text += String.fromCharCode(source[i]!)
    if (i === end) return text
  }
  return decoder.decode(source.subarray(start, end))
}

/** `text` with every lone surrogate replaced by U+FFFD, so that strings which encode to the same bytes are equal. */
export function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd')
}
