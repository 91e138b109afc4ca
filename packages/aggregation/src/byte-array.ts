/** Also true for an array of another realm, such as a Jest sandbox or a vm context, where instanceof is false. */
export function isUint8Array(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array || Object.prototype.toString.call(value) === '[object Uint8Array]'
}
