/**
 * What compression and encryption put before the bytes that they make: magic (4), version (1), id of the codec (1), so that a reader knows them from
 * records that were written without. The magic is no UTF-8 (F7), hence neither text nor JSON, nor a protobuf message (no tag has wire type 7), nor
 * does a KPL aggregate (F3 89 9A C2), gzip (1F 8B), zstd (28 B5 2F FD), Avro ("Obj") or the Glue Schema Registry (03) begin so.
 */
const MAGIC = [0xf7, 0x53, 0x57, 0x43] as const
const VERSION = 1
export const FRAME_BYTES = 6

/** Ids travel: never give one another meaning. */
export const CODEC_STORED = 0
export const CODEC_GZIP = 1
export const CODEC_ZSTD = 2
export const CODEC_AES_256_GCM = 16

export function writeFrame(into: Uint8Array, codec: number): void {
  into.set(MAGIC)
  into[4] = VERSION
  into[5] = codec
}

/** The id of the codec; undefined for bytes without a frame. Throws for a frame that this version cannot read. */
export function codecIn(bytes: Uint8Array): number | undefined {
  if (bytes.length < FRAME_BYTES || MAGIC.some((byte, i) => bytes[i] !== byte)) return undefined
  if (bytes[4] !== VERSION) {
    throw new Error(
      `the record has frame version ${bytes[4]}, and this Shardwise reads ${VERSION}: a newer one has written it. Upgrade`,
    )
  }
  return bytes[5]
}
