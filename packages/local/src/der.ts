/** The part of ASN.1 DER (ITU-T X.690) that a certificate needs, for writing. */

function element(tag: number, ...contents: Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  return Buffer.concat([Buffer.from([tag, ...lengthOctets(content.length)]), content])
}

function lengthOctets(length: number): number[] {
  if (length < 0x80) return [length]
  const octets: number[] = []
  for (let rest = length; rest > 0; rest >>>= 8) octets.unshift(rest & 0xff)
  return [0x80 | octets.length, ...octets]
}

export function sequence(...items: Uint8Array[]): Buffer {
  return element(0x30, ...items)
}

export function setOf(item: Uint8Array): Buffer {
  return element(0x31, item)
}

/** A positive integer from its big-endian bytes. */
export function integer(bytes: Uint8Array): Buffer {
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start++
  const shortest = bytes.subarray(start)
  return (shortest[0] ?? 0) >= 0x80 ? element(0x02, Buffer.from([0]), shortest) : element(0x02, shortest)
}

export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const octets = [first * 40 + second]
  for (const arc of rest) {
    const groups = [arc & 0x7f]
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift(0x80 | (left & 0x7f))
    octets.push(...groups)
  }
  return element(0x06, Buffer.from(octets))
}

export function boolean(value: boolean): Buffer {
  return element(0x01, Buffer.from([value ? 0xff : 0]))
}

export function utf8String(text: string): Buffer {
  return element(0x0c, Buffer.from(text))
}

export function octetString(content: Uint8Array): Buffer {
  return element(0x04, content)
}

/** A whole number of bytes. */
export function bitString(content: Uint8Array): Buffer {
  return element(0x03, Buffer.from([0]), content)
}

/** UTCTime, to the second: years 1950 to 2049. */
export function utcTime(epochMs: number): Buffer {
  return element(0x17, Buffer.from(new Date(epochMs).toISOString().replace(/^..|[-:T]|\.\d+/g, '')))
}

/** Context-specific tag `[number]`, explicit: around complete elements. */
export function tagged(number: number, ...items: Uint8Array[]): Buffer {
  return element(0xa0 | number, ...items)
}

/** Context-specific tag `[number]`, implicit: instead of a primitive's own. */
export function taggedPrimitive(number: number, content: Uint8Array): Buffer {
  return element(0x80 | number, content)
}
