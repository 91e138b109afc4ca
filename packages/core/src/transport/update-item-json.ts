import type { WireFormat } from './wire-format.js'

/** Texts, and texts by name. What else an UpdateItem may have, old forms and reports of capacity, is left to the SDK. */
const TEXTS: ReadonlySet<string> = new Set([
  'TableName',
  'UpdateExpression',
  'ConditionExpression',
  'ReturnValues',
  'ReturnValuesOnConditionCheckFailure',
])

/** AWS JSON 1.0 of UpdateItem. Whatever is not wholly of the known shape, bytes for one, is left to the SDK, in requests and in answers. */
export const updateItemFormat: WireFormat = {
  contentType: 'application/x-amz-json-1.0',
  encode: (_operation, input) => (isPlainInput(input) ? Buffer.from(JSON.stringify(input)) : undefined),
  decoder: () => decodeAnswer,
}

function isPlainInput(input: object): boolean {
  for (const [name, value] of Object.entries(input)) {
    if (value === undefined) continue
    if (TEXTS.has(name)) {
      if (typeof value !== 'string') return false
    } else if (name === 'ExpressionAttributeNames') {
      if (!hasAll(value, isText)) return false
    } else if ((name !== 'Key' && name !== 'ExpressionAttributeValues') || !hasAll(value, isPlainValue)) return false
  }
  return true
}

/** Throws for what the SDK has to read. */
function decodeAnswer(body: Uint8Array): object {
  const answer: unknown = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'))
  if (isObject(answer)) {
    const [member, ...others] = Object.keys(answer)
    if (member === undefined) return answer
    if (member === 'Attributes' && others.length === 0 && hasAll(answer.Attributes, isPlainValue)) return answer
  }
  throw new TypeError('The answer has what is left to the SDK')
}

/** An attribute value without bytes. */
function isPlainValue(value: unknown): boolean {
  if (!isObject(value)) return false
  const [type, ...others] = Object.keys(value)
  if (type === undefined || others.length > 0) return false
  const content = value[type]
  switch (type) {
    case 'S':
    case 'N':
      return typeof content === 'string'
    case 'SS':
    case 'NS':
      return Array.isArray(content) && content.every(isText)
    case 'BOOL':
    case 'NULL':
      return typeof content === 'boolean'
    case 'L':
      return Array.isArray(content) && content.every(isPlainValue)
    case 'M':
      return hasAll(content, isPlainValue)
    default:
      return false
  }
}

function hasAll(holder: unknown, is: (value: unknown) => boolean): boolean {
  return isObject(holder) && Object.values(holder).every(is)
}

function isText(value: unknown): boolean {
  return typeof value === 'string'
}

/** As JSON and object literals make them: a class may say itself what its JSON is. */
function isObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
