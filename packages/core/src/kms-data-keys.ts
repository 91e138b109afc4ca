import type { DataKey, DataKeys, EncryptionContext, KeyRefusal } from './data-keys.js'
import { functionsOption, InvalidOptionError, refuseUnknownOptions, stringOption } from './options.js'

/** What is needed of AWS KMS: `new KMS({ … })` of @aws-sdk/client-kms has it, with region, credentials, timeouts and retries of yours. */
export interface KmsLike {
  generateDataKey(input: {
    KeyId: string
    KeySpec: 'AES_256'
    EncryptionContext?: Record<string, string>
  }): Promise<{ Plaintext?: Uint8Array | undefined; CiphertextBlob?: Uint8Array | undefined }>
  decrypt(input: {
    KeyId: string
    CiphertextBlob: Uint8Array
    EncryptionContext?: Record<string, string>
  }): Promise<{ Plaintext?: Uint8Array | undefined }>
}

export interface KmsDataKeysOptions {
  readonly kms: KmsLike
  /** Id, ARN or alias of the symmetric KMS key that new data keys come from. Records of other keys are refused. */
  readonly keyId: string
  /** KMS keys that records were written under before and are still read: after a change to another KMS key. KMS' own rotation needs none. */
  readonly formerKeyIds?: readonly string[] | undefined
}

/** https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html: what asking again will not change. */
const REFUSALS = ['InvalidCiphertextException', 'IncorrectKeyException']

/** Data keys of AWS KMS: GenerateDataKey for writers, Decrypt for readers. The records carry them encrypted, some 184 bytes each. */
export function kmsDataKeys(options: KmsDataKeysOptions): DataKeys {
  return new KmsDataKeys(options)
}

class KmsDataKeys implements DataKeys {
  readonly #kms: KmsLike
  readonly #keyIds: readonly [string, ...string[]]

  constructor(options: KmsDataKeysOptions) {
    refuseUnknownOptions(options, ['kms', 'keyId', 'formerKeyIds'])
    const { formerKeyIds = [] } = options
    this.#kms = functionsOption('kms', options.kms, ['generateDataKey', 'decrypt'])
    if (!Array.isArray(formerKeyIds))
      throw new InvalidOptionError('formerKeyIds', 'an array of ids, ARNs or aliases', formerKeyIds)
    this.#keyIds = [keyId('keyId', options.keyId), ...formerKeyIds.map((id: string, i) => keyId(`formerKeyIds[${i}]`, id))]
  }

  async generate(context: EncryptionContext): Promise<DataKey> {
    const [KeyId] = this.#keyIds
    const answer = await this.#kms.generateDataKey({ KeyId, KeySpec: 'AES_256', ...contextOf(context) })
    const { Plaintext: key, CiphertextBlob: wrapped } = answer
    if (key === undefined || wrapped === undefined) throw new Error(`KMS gave no data key of ${KeyId}`)
    return { key, wrapped }
  }

  /** With the key named, as KMS recommends: else a stranger's record decrypts under a key of the stranger's, if we may use that. */
  async decrypt(wrapped: Uint8Array, context: EncryptionContext): Promise<Uint8Array | KeyRefusal> {
    let refused: unknown
    for (const KeyId of this.#keyIds) {
      try {
        const { Plaintext } = await this.#kms.decrypt({ KeyId, CiphertextBlob: wrapped, ...contextOf(context) })
        if (Plaintext === undefined) throw new Error(`KMS gave no data key for one of ${KeyId}`)
        return Plaintext
      } catch (error) {
        if (!(error instanceof Error && REFUSALS.includes(error.name))) throw error
        refused = error
      }
    }
    return { refused }
  }
}

function keyId(option: string, given: string): string {
  return stringOption(option, given, { pattern: /^.{1,2048}$/, says: 'id, ARN or alias of a KMS key' })
}

function contextOf(context: EncryptionContext): { EncryptionContext?: Record<string, string> } {
  return Object.keys(context).length === 0 ? {} : { EncryptionContext: { ...context } }
}
