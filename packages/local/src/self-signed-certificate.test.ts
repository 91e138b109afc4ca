import { createPrivateKey, X509Certificate } from 'node:crypto'
import { ManualClock } from '@shardwise/core/clock'
import { describe, expect, it } from 'vitest'
import { selfSignedCertificate } from './self-signed-certificate.js'

describe('selfSignedCertificate', () => {
  const clock = new ManualClock({ wallTime: Date.UTC(2026, 4, 5, 6, 7, 8, 900) })
  const { key, cert } = selfSignedCertificate('fe80::1:2', clock)
  const read = new X509Certificate(cert)

  it('is signed by its own key', () => {
    expect(read.verify(read.publicKey)).toBe(true)
    expect(read.checkPrivateKey(createPrivateKey(key))).toBe(true)
    expect(read.subject).toBe('CN=Shardwise local')
    expect(read.ca).toBe(true)
  })

  it('names loopback and the host', () => {
    expect(read.checkHost('localhost')).toBe('localhost')
    expect(read.checkIP('127.0.0.1')).toBe('127.0.0.1')
    expect(read.checkIP('::1')).toBe('::1')
    expect(read.checkIP('fe80:0:0:0:0:0:1:2')).toBeDefined()
    expect(read.checkHost('example.com')).toBeUndefined()
    expect(read.checkIP('127.0.0.2')).toBeUndefined()
    expect(new X509Certificate(selfSignedCertificate('build-7.test', clock).cert).checkHost('build-7.test')).toBe('build-7.test')
  })

  it('is valid from a day ago for a year', () => {
    expect(new Date(read.validFrom).toISOString()).toBe('2026-05-04T06:07:08.000Z')
    expect(new Date(read.validTo).toISOString()).toBe('2027-05-05T06:07:08.000Z')
  })

  it('is another one each time, always readable', () => {
    const serials = new Set<string>()
    for (let i = 0; i < 50; i++) serials.add(new X509Certificate(selfSignedCertificate('localhost', clock).cert).serialNumber)
    expect(serials.size).toBe(50)
  })
})
