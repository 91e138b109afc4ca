import { expect, it } from 'vitest'
import { connectionKind } from './connection-kind.js'

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

it.each([
  ['', undefined],
  ['P', undefined],
  ['PR', undefined],
  [preface.slice(0, -1), undefined],
  [preface, 'http2'],
  [`${preface}\0\0\x12\x04`, 'http2'],
  ['PO', 'http1'],
  ['PRO', 'http1'],
  ['POST / HTTP/1.1\r\n', 'http1'],
  ['PRI * HTTP/2.0\r\n\r\nXX', 'http1'],
  ['\x16\x03\x01', 'tls'],
  ['\x00', 'http1'],
] as const)('%j is %s', (head, kind) => {
  expect(connectionKind(Buffer.from(head, 'latin1'))).toBe(kind)
})
