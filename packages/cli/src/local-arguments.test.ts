import { expect, it } from 'vitest'
import { parseLocalArguments } from './local-arguments.js'
import { UsageError } from './usage-error.js'

const defaults = {
  help: false,
  host: '127.0.0.1',
  port: 4567,
  dynamodbPort: 4569,
  tls: false,
  certificateFile: undefined,
  quotas: true,
  streams: [],
  json: false,
}

it.each<[string, object]>([
  ['', {}],
  ['--port 0 --dynamodb-port 0', { port: 0, dynamodbPort: 0 }],
  ['--port=65535', { port: 65_535 }],
  ['--host ::1', { host: '::1' }],
  ['--tls --certificate-file c.pem', { tls: true, certificateFile: 'c.pem' }],
  ['--no-quotas --json', { quotas: false, json: true }],
  [
    '--stream orders:4 --stream a_b.c-9:10000',
    {
      streams: [
        { name: 'orders', shards: 4 },
        { name: 'a_b.c-9', shards: 10_000 },
      ],
    },
  ],
  ['-h', { help: true }],
])('reads %j', (line, expected) => {
  expect(parseLocalArguments(line.split(' ').filter(Boolean))).toEqual({ ...defaults, ...expected })
})

const STREAM_RULE =
  '--stream must be a name (1 to 128 letters, digits, _ . -), a colon and the number of shards (1 to 10000), such as orders:4'

it.each([
  [['--prot', '1'], "Unknown option '--prot'"],
  [['extra'], "Unexpected argument 'extra'"],
  [['--port'], "Option '--port <value>' argument missing"],
  [['--json=yes'], "Option '--json' does not take an argument"],
  [['--port', 'abc'], "--port must be a whole number from 0 to 65535, got 'abc'"],
  [['--port', '65536'], "--port must be a whole number from 0 to 65535, got '65536'"],
  [['--port='], "--port must be a whole number from 0 to 65535, got ''"],
  [['--dynamodb-port', '1e3'], "--dynamodb-port must be a whole number from 0 to 65535, got '1e3'"],
  [['--port', '4569'], '--port and --dynamodb-port must be two different ports, got 4569 for both'],
  [['--host', 'http://x'], "--host must be a host name or an IP address, got 'http://x'"],
  [['--stream', 'orders'], `${STREAM_RULE}, got 'orders'`],
  [['--stream', 'orders:0'], `${STREAM_RULE}, got 'orders:0'`],
  [['--stream', 'or ders:1'], `${STREAM_RULE}, got 'or ders:1'`],
  [['--stream', 'a:1', '--stream', 'a:2'], "--stream must name each stream once, got 'a' twice"],
  [['--certificate-file', 'x'], '--certificate-file needs --tls, as there is no certificate without it'],
])('refuses %j', (args, message) => {
  const attempt = (): unknown => parseLocalArguments(args)
  expect(attempt).toThrow(UsageError)
  expect(attempt).toThrow(message)
})
