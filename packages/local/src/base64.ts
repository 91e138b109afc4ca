/**
 * The bytes that standard base64 (RFC 4648 section 4, with padding) stands for; undefined for anything else.
 *
 * `Buffer.from` skips what it does not know, takes the URL alphabet too, and cuts wide characters down to their low byte ('Ł' reads
 * as 'A'), so damaged data would be stored as other data. What it skipped shows in the length; the rest is asked for by name. All
 * checks are single native scans: bodies of several megabytes pass through here.
 */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  // A length that is no multiple of four never comes out even here.
  if (bytes.length !== (text.length / 4) * 3 - padding) return undefined
  if (Buffer.byteLength(text) !== text.length || text.includes('-') || text.includes('_')) return undefined
  return bytes
}

export function encodeBase64(bytes: Uint8Array): string {
  return (Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)).toString('base64')
}
