/** Where a stored record lies, as one number that is never 0, made of the place's three parts (FNV-1a). */
export class Places {
  #shardId = ''
  #sequenceNumber = ''
  #hash = 0

  /** Members of one aggregate come one after the other, so what they share is hashed once. */
  of(shardId: string, sequenceNumber: string, subSequenceNumber: number): number {
    if (sequenceNumber !== this.#sequenceNumber || shardId !== this.#shardId) {
      this.#shardId = shardId
      this.#sequenceNumber = sequenceNumber
      this.#hash = hashed(shardId, hashed(sequenceNumber, 0x811c9dc5))
    }
    let hash = this.#hash
    for (let shift = 0; shift < 32; shift += 8) hash = Math.imul(hash ^ ((subSequenceNumber >>> shift) & 255), 0x01000193)
    return hash >>> 0 || 1
  }
}

function hashed(text: string, start: number): number {
  let hash = start
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash
}
