/** Data up to here is written with the text around it: a call into the runtime for each record would cost more than the copy. */
const SMALL_BYTES = 2048
/** Text and base64 go into the body in pieces that die young. A multiple of three, so that only the last has padding. */
const PIECE_BYTES = 24 * 1024

/**
 * The body of a PutRecords as AWS JSON, in one buffer of its size: as a string it would be turned into bytes three times, for its length, its
 * hash and the socket. Measured on Node 20: made of the string that JSON.stringify gives, request-put-small takes 1.9 times as long; request-put-500, whose records
 * are small, hardly longer. Undefined for an input that is not wholly of the known shape: the SDK may know it.
 */
export function putRecordsJson(input: object): Uint8Array | undefined {
  const { Records: records, ...rest } = input as { readonly Records?: unknown }
  if (!Array.isArray(records)) return undefined
  const settings = JSON.stringify(rest)
  /** In their order: text, and data that is to become base64. */
  const parts: (string | Buffer)[] = []
  let text = `${settings.slice(0, -1)}${settings === '{}' ? '' : ','}"Records":[`
  let comma = ''
  for (const record of records as Readonly<Record<string, unknown>>[]) {
    const { Data: data, PartitionKey: partitionKey, ExplicitHashKey: explicitHashKey } = record
    if (!(data instanceof Uint8Array) || typeof partitionKey !== 'string' || hasOthers(record)) return undefined
    if (explicitHashKey !== undefined && typeof explicitHashKey !== 'string') return undefined
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    const hashKey = explicitHashKey === undefined ? '' : `,"ExplicitHashKey":${JSON.stringify(explicitHashKey)}`
    const tail = `","PartitionKey":${JSON.stringify(partitionKey)}${hashKey}}`
    if (bytes.length <= SMALL_BYTES) text += `${comma}{"Data":"${bytes.toString('base64')}${tail}`
    else {
      parts.push(`${text}${comma}{"Data":"`, bytes)
      text = tail
    }
    if (text.length >= PIECE_BYTES) {
      parts.push(text)
      text = ''
    }
    comma = ','
  }
  parts.push(`${text}]}`)
  return joined(parts)
}

function hasOthers(record: object): boolean {
  for (const name in record) if (name !== 'Data' && name !== 'PartitionKey' && name !== 'ExplicitHashKey') return true
  return false
}

function joined(parts: readonly (string | Buffer)[]): Uint8Array {
  let length = 0
  for (const part of parts) length += typeof part === 'string' ? Buffer.byteLength(part) : Math.ceil(part.length / 3) * 4
  const body = Buffer.allocUnsafeSlow(length)
  let at = 0
  for (const part of parts) {
    if (typeof part === 'string') at += body.write(part, at)
    else {
      for (let from = 0; from < part.length; from += PIECE_BYTES) {
        at += body.write(part.toString('base64', from, Math.min(from + PIECE_BYTES, part.length)), at, 'latin1')
      }
    }
  }
  return body
}
