/** Pairs that are no secrets and must be the same for whoever decrypts. Not stored with the records. */
export type EncryptionContext = Readonly<Record<string, string>>

export interface DataKey {
  /** 32 random bytes. The codec overwrites them with zeros when it has taken them over. */
  readonly key: Uint8Array
  /** What stands for it in each record, so short as may be, 4096 bytes at most: the key, encrypted, or what finds it. */
  readonly wrapped: Uint8Array
}

/** The key can never be had: it is of others, was tampered with, is deleted. */
export interface KeyRefusal {
  /** Why: an error of the key service, or a text. */
  readonly refused: unknown
}

/** Where keys come from that encrypt records: a key service. Each method may be called several times at once, and rejects when it fails for now. */
export interface DataKeys {
  /** A new key. */
  generate(context: EncryptionContext): Promise<DataKey>
  /**
   * The 32 bytes of a key that `generate` has made, here or elsewhere, for the same context; overwritten with zeros like those. A refusal ends the
   * matter: the record cannot be decoded. A rejection is tried again.
   */
  decrypt(wrapped: Uint8Array, context: EncryptionContext): Promise<Uint8Array | KeyRefusal>
}

export const KEY_BYTES = 32
export const MAX_WRAPPED_BYTES = 4096
