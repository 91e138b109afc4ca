interface BufferLike {
  readonly from: (text: string, encoding: 'base64') => Uint8Array
}

/** Bytes of a base64 text: `Buffer`'s decoder where the runtime has it, else `atob`. The same bytes either way for valid base64. */
export function decodeBase64(
  text: string,
  buffer: BufferLike | null | undefined = (globalThis as { readonly Buffer?: BufferLike }).Buffer,
): Uint8Array {
  if (buffer) return buffer.from(text, 'base64')
  const latin1 = atob(text)
  const bytes = new Uint8Array(latin1.length)
  for (let i = 0; i < latin1.length; i++) bytes[i] = latin1.charCodeAt(i)
  return bytes
}
