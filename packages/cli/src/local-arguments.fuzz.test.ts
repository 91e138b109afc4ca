import fc from 'fast-check'
import { afterEach, expect, it } from 'vitest'
import { parseLocalArguments } from './local-arguments.js'
import { UsageError } from './usage-error.js'

const word = fc.oneof(
  fc.constantFrom(
    ...[
      '--port',
      '--dynamodb-port',
      '--host',
      '--stream',
      '--no-quotas',
      '--tls',
      '--certificate-file',
      '--json',
      '--help',
      '-h',
      '--',
      '-',
    ],
    ...[
      '--port=',
      '--port=-1',
      '--port=1e3',
      '--stream=a:1',
      '--stream=:',
      '--stream=a:',
      '--stream=a:0x1',
      '--__proto__',
      '--__proto__=1',
    ],
    ...['--constructor=1', '0', '65536', '9'.repeat(400), 'a:1', 'a:1:1', '__proto__:1', '0.0.0.0', '::1', '\0', '\ud800'],
  ),
  fc.string(),
)

afterEach(() => {
  expect(Reflect.get({}, '1')).toBeUndefined()
})

it('arguments of any kind are understood or refused as misuse; loopback unless a host is named', () => {
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), (args) => {
      try {
        const { host, port, dynamodbPort, streams } = parseLocalArguments(args)
        if (!args.some((arg) => arg.startsWith('--host'))) expect(host).toBe('127.0.0.1')
        for (const each of [port, dynamodbPort]) expect(Number.isInteger(each) && each >= 0 && each <= 65_535).toBe(true)
        for (const { name, shards } of streams) expect(name.length > 0 && Number.isSafeInteger(shards) && shards > 0).toBe(true)
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError)
      }
    }),
    { numRuns: 5000 },
  )
})
