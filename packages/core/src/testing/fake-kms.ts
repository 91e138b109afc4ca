import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import type { KmsLike } from '../kms-data-keys.js'

/** AWS KMS as far as data keys go: blobs are authenticated with their context, and say which KMS key made them. */
export class FakeKms implements KmsLike {
  readonly calls: string[] = []
  /** What the next calls reject with. */
  failing: Error | undefined
  /** Plaintexts that were handed out, to look at what became of them. */
  readonly handedOut: Uint8Array[] = []

  async generateDataKey(
    input: Parameters<KmsLike['generateDataKey']>[0],
  ): Promise<{ Plaintext: Uint8Array; CiphertextBlob: Uint8Array }> {
    this.calls.push(`generate ${input.KeyId}`)
    if (this.failing !== undefined) throw this.failing
    const key = randomBytes(32)
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', masterOf(input.KeyId), nonce)
    cipher.setAAD(aad(input.EncryptionContext))
    const text = Buffer.concat([cipher.update(key), cipher.final()])
    const CiphertextBlob = Buffer.concat([Buffer.from(input.KeyId.padEnd(16)), nonce, cipher.getAuthTag(), text])
    this.handedOut.push(key)
    return { Plaintext: key, CiphertextBlob }
  }

  async decrypt(input: Parameters<KmsLike['decrypt']>[0]): Promise<{ Plaintext: Uint8Array }> {
    this.calls.push(`decrypt ${input.KeyId}`)
    if (this.failing !== undefined) throw this.failing
    const blob = Buffer.from(input.CiphertextBlob)
    if (blob.length !== 76) throw named('InvalidCiphertextException')
    if (blob.subarray(0, 16).toString().trim() !== input.KeyId) throw named('IncorrectKeyException')
    try {
      const decipher = createDecipheriv('aes-256-gcm', masterOf(input.KeyId), blob.subarray(16, 28))
      decipher.setAAD(aad(input.EncryptionContext))
      decipher.setAuthTag(blob.subarray(28, 44))
      const Plaintext = Buffer.concat([decipher.update(blob.subarray(44)), decipher.final()])
      this.handedOut.push(Plaintext)
      return { Plaintext }
    } catch {
      throw named('InvalidCiphertextException')
    }
  }
}

export function named(name: string): Error {
  return Object.assign(new Error(`${name} of the fake`), { name })
}

function masterOf(keyId: string): Buffer {
  return createHash('sha256').update(keyId).digest()
}

function aad(context: Record<string, string> | undefined): Buffer {
  return Buffer.from(JSON.stringify(Object.entries(context ?? {}).sort()))
}
