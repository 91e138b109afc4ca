/**
 * MD5 in plain JavaScript. Kinesis places a record by the MD5 of its partition key's UTF-8 bytes, so a producer hashes one short
 * string per record: for that, calling out to OpenSSL costs more than the digest itself. Measured
 * (`npm run bench -- key-to-shard`, docs/performance.md): key to shard takes a ninth of what it does by createHash, of which this and the index over the shards are the parts.
 *
 * MD5 is used here because the service and the aggregated record format prescribe it, never for security.
 */

const BLOCK_BYTES = 64
/** The longest message that still leaves room for the end marker and the 8-byte length in one block. */
const SINGLE_BLOCK_BYTES = 55

const INITIAL_A = 1732584193
const INITIAL_B = -271733879
const INITIAL_C = -1732584194
const INITIAL_D = 271733878

/** RFC 1321, section 3.4: T. */
const sines = Int32Array.from({ length: 64 }, (_, step) => Math.floor(Math.abs(Math.sin(step + 1)) * 2 ** 32))

// Working storage is shared by all calls: everything here is synchronous and never re-entered.
// Arrays of more than 64 bytes lie outside of V8's heap, so that optimised code has their addresses and need not check their lengths. With smaller
// ones, and with all words behind the key written anew each time, key-to-shard took 7 % more time (Node 20).
const block = new Int32Array(32)
const state = new Int32Array(32)
/** Words of the block, of the first fourteen, behind which all are zero. */
let usedWords = 14
const encoder = new TextEncoder()
/** Room for 256 UTF-16 units, the longest partition key Kinesis takes, at three bytes each. */
const keyBytes = new Uint8Array(768)

/**
 * MD5 of the UTF-8 encoding of `key`, as four 32-bit words, most significant first: the digest read as an unsigned 128-bit
 * big-endian integer is `out[0] << 96 | out[1] << 64 | out[2] << 32 | out[3]`. That is the Kinesis hash key of the partition key.
 *
 * A lone surrogate counts as U+FFFD, as `TextEncoder` and the aggregate encoder write it. `out` needs at least four elements.
 */
export function md5Words(key: string, out: Uint32Array): void {
  if (!digestShortAscii(key)) {
    if (key.length * 3 <= keyBytes.length) digestBytes(keyBytes, encoder.encodeInto(key, keyBytes).written)
    else {
      const bytes = encoder.encode(key)
      digestBytes(bytes, bytes.length)
    }
  }
  out[0] = swapBytes(state[0]!)
  out[1] = swapBytes(state[1]!)
  out[2] = swapBytes(state[2]!)
  out[3] = swapBytes(state[3]!)
}

/** The 16-byte MD5 digest of `bytes`. For long input on Node, node:crypto is faster. */
export function md5(bytes: Uint8Array): Uint8Array {
  digestBytes(bytes, bytes.length)
  const digest = new Uint8Array(16)
  for (let i = 0; i < 16; i++) digest[i] = state[i >> 2]! >>> ((i & 3) << 3)
  return digest
}

/** One compression straight from the string, four characters to a word. False, with nothing digested, unless ASCII and short. */
function digestShortAscii(key: string): boolean {
  const length = key.length
  if (length > SINGLE_BLOCK_BYTES) return false
  const fullWords = length >> 2
  let seen = 0
  let word = 0
  let i = 0
  for (; word < fullWords; word++, i += 4) {
    const c0 = key.charCodeAt(i)
    const c1 = key.charCodeAt(i + 1)
    const c2 = key.charCodeAt(i + 2)
    const c3 = key.charCodeAt(i + 3)
    seen |= c0 | c1 | c2 | c3
    block[word] = c0 | (c1 << 8) | (c2 << 16) | (c3 << 24)
  }
  let last = 0x80 << ((length & 3) << 3)
  for (let shift = 0; i < length; i++, shift += 8) {
    const c = key.charCodeAt(i)
    seen |= c
    last |= c << shift
  }
  if (seen > 127) return false
  block[word++] = last
  const wordsOfKey = word
  while (word < usedWords) block[word++] = 0
  usedWords = wordsOfKey
  block[14] = length << 3
  block[15] = 0
  state[0] = INITIAL_A
  state[1] = INITIAL_B
  state[2] = INITIAL_C
  state[3] = INITIAL_D
  compress()
  return true
}

function digestBytes(bytes: Uint8Array, length: number): void {
  usedWords = 14
  state[0] = INITIAL_A
  state[1] = INITIAL_B
  state[2] = INITIAL_C
  state[3] = INITIAL_D
  let at = 0
  for (; length - at >= BLOCK_BYTES; at += BLOCK_BYTES) {
    for (let word = 0, p = at; word < 16; word++, p += 4) {
      block[word] = bytes[p]! | (bytes[p + 1]! << 8) | (bytes[p + 2]! << 16) | (bytes[p + 3]! << 24)
    }
    compress()
  }
  block.fill(0)
  const rest = length - at
  for (let i = 0; i < rest; i++) block[i >> 2]! |= bytes[at + i]! << ((i & 3) << 3)
  block[rest >> 2]! |= 0x80 << ((rest & 3) << 3)
  if (rest > SINGLE_BLOCK_BYTES) {
    compress()
    block.fill(0)
  }
  block[14] = length << 3
  block[15] = Math.floor(length / 0x2000_0000)
  compress()
}

function swapBytes(word: number): number {
  return ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)
}

/**
 * One MD5 compression of `block` into `state` (RFC 1321 section 3.4), unrolled.
 *
 * Each step waits for the one before it, so that its result must go in last: of round 2 the parts of `(b & d) | (c & ~d)` have no bit in common and
 * may be added one by one, in round 3 the two older words come first, and the sines are in an array, for V8 would add a constant after all that
 * varies. Written as in the RFC key-to-shard takes 16 % more time (Node 20).
 */
function compress(): void {
  const a0 = state[0]!
  const b0 = state[1]!
  const c0 = state[2]!
  const d0 = state[3]!
  let a = a0
  let b = b0
  let c = c0
  let d = d0
  let t = 0
  const m0 = block[0]!
  const m1 = block[1]!
  const m2 = block[2]!
  const m3 = block[3]!
  const m4 = block[4]!
  const m5 = block[5]!
  const m6 = block[6]!
  const m7 = block[7]!
  const m8 = block[8]!
  const m9 = block[9]!
  const m10 = block[10]!
  const m11 = block[11]!
  const m12 = block[12]!
  const m13 = block[13]!
  const m14 = block[14]!
  const m15 = block[15]!
  // round 1
  t = (((a + ((m0 + sines[0]!) | 0)) | 0) + (d ^ (b & (c ^ d)))) | 0
  a = (((t << 7) | (t >>> 25)) + b) | 0
  t = (((d + ((m1 + sines[1]!) | 0)) | 0) + (c ^ (a & (b ^ c)))) | 0
  d = (((t << 12) | (t >>> 20)) + a) | 0
  t = (((c + ((m2 + sines[2]!) | 0)) | 0) + (b ^ (d & (a ^ b)))) | 0
  c = (((t << 17) | (t >>> 15)) + d) | 0
  t = (((b + ((m3 + sines[3]!) | 0)) | 0) + (a ^ (c & (d ^ a)))) | 0
  b = (((t << 22) | (t >>> 10)) + c) | 0
  t = (((a + ((m4 + sines[4]!) | 0)) | 0) + (d ^ (b & (c ^ d)))) | 0
  a = (((t << 7) | (t >>> 25)) + b) | 0
  t = (((d + ((m5 + sines[5]!) | 0)) | 0) + (c ^ (a & (b ^ c)))) | 0
  d = (((t << 12) | (t >>> 20)) + a) | 0
  t = (((c + ((m6 + sines[6]!) | 0)) | 0) + (b ^ (d & (a ^ b)))) | 0
  c = (((t << 17) | (t >>> 15)) + d) | 0
  t = (((b + ((m7 + sines[7]!) | 0)) | 0) + (a ^ (c & (d ^ a)))) | 0
  b = (((t << 22) | (t >>> 10)) + c) | 0
  t = (((a + ((m8 + sines[8]!) | 0)) | 0) + (d ^ (b & (c ^ d)))) | 0
  a = (((t << 7) | (t >>> 25)) + b) | 0
  t = (((d + ((m9 + sines[9]!) | 0)) | 0) + (c ^ (a & (b ^ c)))) | 0
  d = (((t << 12) | (t >>> 20)) + a) | 0
  t = (((c + ((m10 + sines[10]!) | 0)) | 0) + (b ^ (d & (a ^ b)))) | 0
  c = (((t << 17) | (t >>> 15)) + d) | 0
  t = (((b + ((m11 + sines[11]!) | 0)) | 0) + (a ^ (c & (d ^ a)))) | 0
  b = (((t << 22) | (t >>> 10)) + c) | 0
  t = (((a + ((m12 + sines[12]!) | 0)) | 0) + (d ^ (b & (c ^ d)))) | 0
  a = (((t << 7) | (t >>> 25)) + b) | 0
  t = (((d + ((m13 + sines[13]!) | 0)) | 0) + (c ^ (a & (b ^ c)))) | 0
  d = (((t << 12) | (t >>> 20)) + a) | 0
  t = (((c + ((m14 + sines[14]!) | 0)) | 0) + (b ^ (d & (a ^ b)))) | 0
  c = (((t << 17) | (t >>> 15)) + d) | 0
  t = (((b + ((m15 + sines[15]!) | 0)) | 0) + (a ^ (c & (d ^ a)))) | 0
  b = (((t << 22) | (t >>> 10)) + c) | 0
  // round 2
  t = (((((a + ((m1 + sines[16]!) | 0)) | 0) + (c & ~d)) | 0) + (b & d)) | 0
  a = (((t << 5) | (t >>> 27)) + b) | 0
  t = (((((d + ((m6 + sines[17]!) | 0)) | 0) + (b & ~c)) | 0) + (a & c)) | 0
  d = (((t << 9) | (t >>> 23)) + a) | 0
  t = (((((c + ((m11 + sines[18]!) | 0)) | 0) + (a & ~b)) | 0) + (d & b)) | 0
  c = (((t << 14) | (t >>> 18)) + d) | 0
  t = (((((b + ((m0 + sines[19]!) | 0)) | 0) + (d & ~a)) | 0) + (c & a)) | 0
  b = (((t << 20) | (t >>> 12)) + c) | 0
  t = (((((a + ((m5 + sines[20]!) | 0)) | 0) + (c & ~d)) | 0) + (b & d)) | 0
  a = (((t << 5) | (t >>> 27)) + b) | 0
  t = (((((d + ((m10 + sines[21]!) | 0)) | 0) + (b & ~c)) | 0) + (a & c)) | 0
  d = (((t << 9) | (t >>> 23)) + a) | 0
  t = (((((c + ((m15 + sines[22]!) | 0)) | 0) + (a & ~b)) | 0) + (d & b)) | 0
  c = (((t << 14) | (t >>> 18)) + d) | 0
  t = (((((b + ((m4 + sines[23]!) | 0)) | 0) + (d & ~a)) | 0) + (c & a)) | 0
  b = (((t << 20) | (t >>> 12)) + c) | 0
  t = (((((a + ((m9 + sines[24]!) | 0)) | 0) + (c & ~d)) | 0) + (b & d)) | 0
  a = (((t << 5) | (t >>> 27)) + b) | 0
  t = (((((d + ((m14 + sines[25]!) | 0)) | 0) + (b & ~c)) | 0) + (a & c)) | 0
  d = (((t << 9) | (t >>> 23)) + a) | 0
  t = (((((c + ((m3 + sines[26]!) | 0)) | 0) + (a & ~b)) | 0) + (d & b)) | 0
  c = (((t << 14) | (t >>> 18)) + d) | 0
  t = (((((b + ((m8 + sines[27]!) | 0)) | 0) + (d & ~a)) | 0) + (c & a)) | 0
  b = (((t << 20) | (t >>> 12)) + c) | 0
  t = (((((a + ((m13 + sines[28]!) | 0)) | 0) + (c & ~d)) | 0) + (b & d)) | 0
  a = (((t << 5) | (t >>> 27)) + b) | 0
  t = (((((d + ((m2 + sines[29]!) | 0)) | 0) + (b & ~c)) | 0) + (a & c)) | 0
  d = (((t << 9) | (t >>> 23)) + a) | 0
  t = (((((c + ((m7 + sines[30]!) | 0)) | 0) + (a & ~b)) | 0) + (d & b)) | 0
  c = (((t << 14) | (t >>> 18)) + d) | 0
  t = (((((b + ((m12 + sines[31]!) | 0)) | 0) + (d & ~a)) | 0) + (c & a)) | 0
  b = (((t << 20) | (t >>> 12)) + c) | 0
  // round 3
  t = (((a + ((m5 + sines[32]!) | 0)) | 0) + (b ^ (c ^ d))) | 0
  a = (((t << 4) | (t >>> 28)) + b) | 0
  t = (((d + ((m8 + sines[33]!) | 0)) | 0) + (a ^ (b ^ c))) | 0
  d = (((t << 11) | (t >>> 21)) + a) | 0
  t = (((c + ((m11 + sines[34]!) | 0)) | 0) + (d ^ (a ^ b))) | 0
  c = (((t << 16) | (t >>> 16)) + d) | 0
  t = (((b + ((m14 + sines[35]!) | 0)) | 0) + (c ^ (d ^ a))) | 0
  b = (((t << 23) | (t >>> 9)) + c) | 0
  t = (((a + ((m1 + sines[36]!) | 0)) | 0) + (b ^ (c ^ d))) | 0
  a = (((t << 4) | (t >>> 28)) + b) | 0
  t = (((d + ((m4 + sines[37]!) | 0)) | 0) + (a ^ (b ^ c))) | 0
  d = (((t << 11) | (t >>> 21)) + a) | 0
  t = (((c + ((m7 + sines[38]!) | 0)) | 0) + (d ^ (a ^ b))) | 0
  c = (((t << 16) | (t >>> 16)) + d) | 0
  t = (((b + ((m10 + sines[39]!) | 0)) | 0) + (c ^ (d ^ a))) | 0
  b = (((t << 23) | (t >>> 9)) + c) | 0
  t = (((a + ((m13 + sines[40]!) | 0)) | 0) + (b ^ (c ^ d))) | 0
  a = (((t << 4) | (t >>> 28)) + b) | 0
  t = (((d + ((m0 + sines[41]!) | 0)) | 0) + (a ^ (b ^ c))) | 0
  d = (((t << 11) | (t >>> 21)) + a) | 0
  t = (((c + ((m3 + sines[42]!) | 0)) | 0) + (d ^ (a ^ b))) | 0
  c = (((t << 16) | (t >>> 16)) + d) | 0
  t = (((b + ((m6 + sines[43]!) | 0)) | 0) + (c ^ (d ^ a))) | 0
  b = (((t << 23) | (t >>> 9)) + c) | 0
  t = (((a + ((m9 + sines[44]!) | 0)) | 0) + (b ^ (c ^ d))) | 0
  a = (((t << 4) | (t >>> 28)) + b) | 0
  t = (((d + ((m12 + sines[45]!) | 0)) | 0) + (a ^ (b ^ c))) | 0
  d = (((t << 11) | (t >>> 21)) + a) | 0
  t = (((c + ((m15 + sines[46]!) | 0)) | 0) + (d ^ (a ^ b))) | 0
  c = (((t << 16) | (t >>> 16)) + d) | 0
  t = (((b + ((m2 + sines[47]!) | 0)) | 0) + (c ^ (d ^ a))) | 0
  b = (((t << 23) | (t >>> 9)) + c) | 0
  // round 4
  t = (((a + ((m0 + sines[48]!) | 0)) | 0) + (c ^ (b | ~d))) | 0
  a = (((t << 6) | (t >>> 26)) + b) | 0
  t = (((d + ((m7 + sines[49]!) | 0)) | 0) + (b ^ (a | ~c))) | 0
  d = (((t << 10) | (t >>> 22)) + a) | 0
  t = (((c + ((m14 + sines[50]!) | 0)) | 0) + (a ^ (d | ~b))) | 0
  c = (((t << 15) | (t >>> 17)) + d) | 0
  t = (((b + ((m5 + sines[51]!) | 0)) | 0) + (d ^ (c | ~a))) | 0
  b = (((t << 21) | (t >>> 11)) + c) | 0
  t = (((a + ((m12 + sines[52]!) | 0)) | 0) + (c ^ (b | ~d))) | 0
  a = (((t << 6) | (t >>> 26)) + b) | 0
  t = (((d + ((m3 + sines[53]!) | 0)) | 0) + (b ^ (a | ~c))) | 0
  d = (((t << 10) | (t >>> 22)) + a) | 0
  t = (((c + ((m10 + sines[54]!) | 0)) | 0) + (a ^ (d | ~b))) | 0
  c = (((t << 15) | (t >>> 17)) + d) | 0
  t = (((b + ((m1 + sines[55]!) | 0)) | 0) + (d ^ (c | ~a))) | 0
  b = (((t << 21) | (t >>> 11)) + c) | 0
  t = (((a + ((m8 + sines[56]!) | 0)) | 0) + (c ^ (b | ~d))) | 0
  a = (((t << 6) | (t >>> 26)) + b) | 0
  t = (((d + ((m15 + sines[57]!) | 0)) | 0) + (b ^ (a | ~c))) | 0
  d = (((t << 10) | (t >>> 22)) + a) | 0
  t = (((c + ((m6 + sines[58]!) | 0)) | 0) + (a ^ (d | ~b))) | 0
  c = (((t << 15) | (t >>> 17)) + d) | 0
  t = (((b + ((m13 + sines[59]!) | 0)) | 0) + (d ^ (c | ~a))) | 0
  b = (((t << 21) | (t >>> 11)) + c) | 0
  t = (((a + ((m4 + sines[60]!) | 0)) | 0) + (c ^ (b | ~d))) | 0
  a = (((t << 6) | (t >>> 26)) + b) | 0
  t = (((d + ((m11 + sines[61]!) | 0)) | 0) + (b ^ (a | ~c))) | 0
  d = (((t << 10) | (t >>> 22)) + a) | 0
  t = (((c + ((m2 + sines[62]!) | 0)) | 0) + (a ^ (d | ~b))) | 0
  c = (((t << 15) | (t >>> 17)) + d) | 0
  t = (((b + ((m9 + sines[63]!) | 0)) | 0) + (d ^ (c | ~a))) | 0
  b = (((t << 21) | (t >>> 11)) + c) | 0
  state[0] = (a0 + a) | 0
  state[1] = (b0 + b) | 0
  state[2] = (c0 + c) | 0
  state[3] = (d0 + d) | 0
}
