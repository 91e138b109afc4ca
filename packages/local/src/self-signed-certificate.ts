import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'
import type { Clock } from '@shardwise/core/clock'
import * as der from './der.js'

const DAY_MS = 86_400_000
const ECDSA_WITH_SHA256 = der.sequence(der.objectIdentifier('1.2.840.10045.4.3.2'))
const COMMON_NAME = der.objectIdentifier('2.5.4.3')
const BASIC_CONSTRAINTS = der.objectIdentifier('2.5.29.19')
const SUBJECT_ALTERNATIVE_NAME = der.objectIdentifier('2.5.29.17')

/** Tags of GeneralName (RFC 5280 section 4.2.1.6). */
const DNS_NAME = 2
const IP_ADDRESS = 7

export interface Certificate {
  /** Private key, PEM (PKCS #8). */
  readonly key: string
  /** The certificate, PEM. Given to a client as `ca`, it makes that client trust it and nothing else. */
  readonly cert: string
}

/**
 * A fresh key and certificate for this machine's loopback names and `host`, valid from a day ago for a year. For local tests alone: it
 * proves nothing to anyone who was not handed it.
 */
export function selfSignedCertificate(host: string, clock: Clock): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const name = der.sequence(der.setOf(der.sequence(COMMON_NAME, der.utf8String('Shardwise local'))))
  const hosts = [...new Set(['localhost', '127.0.0.1', '::1', host])]
  const serial = randomBytes(16)
  serial[0] = (serial[0]! & 0x7f) | 0x40
  const now = clock.wallTime()
  const body = der.sequence(
    der.tagged(0, der.integer(Buffer.from([2]))),
    der.integer(serial),
    ECDSA_WITH_SHA256,
    name,
    der.sequence(der.utcTime(now - DAY_MS), der.utcTime(now + 365 * DAY_MS)),
    name,
    publicKey.export({ format: 'der', type: 'spki' }),
    der.tagged(
      3,
      der.sequence(
        der.sequence(BASIC_CONSTRAINTS, der.boolean(true), der.octetString(der.sequence(der.boolean(true)))),
        der.sequence(SUBJECT_ALTERNATIVE_NAME, der.octetString(der.sequence(...hosts.map(generalName)))),
      ),
    ),
  )
  const certificate = der.sequence(body, ECDSA_WITH_SHA256, der.bitString(sign('sha256', body, privateKey)))
  const lines = certificate
    .toString('base64')
    .match(/.{1,64}/g)!
    .join('\n')
  return {
    key: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
  }
}

function generalName(host: string): Buffer {
  const version = isIP(host)
  if (version === 0) return der.taggedPrimitive(DNS_NAME, Buffer.from(host))
  return der.taggedPrimitive(IP_ADDRESS, version === 4 ? Buffer.from(host.split('.').map(Number)) : ipv6Bytes(host))
}

function ipv6Bytes(host: string): Buffer {
  const [head = '', tail] = host.split('::')
  const groups = (part: string): number[] => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)))
  const before = groups(head)
  const after = groups(tail ?? '')
  const all = tail === undefined ? before : [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after]
  return Buffer.from(all.flatMap((group) => [group >>> 8, group & 0xff]))
}
