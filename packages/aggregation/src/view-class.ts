/** Makes a view of what lies in memory there. */
export type ViewClass = new (memory: ArrayBufferLike, offset: number, length: number) => Uint8Array

/** Node's `Buffer`, whose `subarray` makes views of this class. */
const nodeBuffer = (globalThis as { readonly Buffer?: { readonly prototype: Uint8Array; readonly [Symbol.species]?: ViewClass } })
  .Buffer

/**
 * The class of which `subarray` would make a view of these bytes, for plain bytes and for a Buffer. Measured on Node 20: with `subarray`, which looks for
 * the class and the bounds each time, decode-100b takes 12 % more time, and `eachBatch` of `consumer-http-cbor`, whose bytes are Buffers, a sixth more.
 */
export function viewClass(bytes: Uint8Array): ViewClass | undefined {
  const prototype = Object.getPrototypeOf(bytes)
  if (prototype === Uint8Array.prototype) return Uint8Array
  return prototype === nodeBuffer?.prototype ? nodeBuffer?.[Symbol.species] : undefined
}
