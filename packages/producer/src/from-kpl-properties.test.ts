import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { InvalidOptionError } from '@shardwise/core/options'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromKplProperties, type KplProperties } from './from-kpl-properties.js'
import type { KplOption } from './kpl-option.js'
import { KPL_OPTIONS } from './kpl-options.js'
import { Producer } from './producer.js'

const from = (text: string): Promise<KplProperties> => fromKplProperties({ text })

/** What the KPL's own sample file sets, all of it at the defaults. */
const SAMPLE = `
AggregationEnabled = true
AggregationMaxCount = 4294967295
AggregationMaxSize = 51200
CollectionMaxCount = 500
CollectionMaxSize = 5242880
ConnectTimeout = 6000
FailIfThrottled = false
LogLevel = info
MaxConnections = 24
MaxUserRecordSize = 1048576
MetricsGranularity = shard
MetricsLevel = detailed
MetricsNamespace = KinesisProducerLibrary
MetricsUploadDelay = 60000
MinConnections = 1
KinesisPort = 443
RateLimit = 150
RecordMaxBufferedTime = 100
RecordTtl = 30000
RequestTimeout = 6000
VerifyCertificate = true
ThreadingModel = PER_REQUEST
`

test("the KPL's sample file makes a producer", async () => {
  const { options, unmapped, notes } = await from(SAMPLE)
  expect(options).toEqual({
    ...{ aggregation: 'shard', aggregateMaxRecords: 1_000_000, aggregateMaxBytes: 51_200, maxRequestsInFlight: 24 },
    ...{ connectTimeoutMs: 6000, requestTimeoutMs: 6000, lingerMs: 100, recordTtlMs: 30_000 },
    ...{ requestMaxRecords: 500, requestMaxBytes: 5_242_880, shardRatePercent: 150, failIfThrottled: false },
  })
  expect(unmapped.map(({ name, value, line }) => [name, value, line])).toEqual([['MetricsLevel', 'detailed', 13]])
  expect(notes.map(({ name }) => name)).toEqual(['AggregationMaxCount'])
  await new Producer({ stream: 'flights', ...options }).close()
})

test('an option not in the file is not in the options: our default holds', async () => {
  expect(await from('')).toEqual({ options: {}, unmapped: [], notes: [] })
})

describe('what each becomes', () => {
  test.each<[string, KplProperties['options']]>([
    ['AggregationEnabled = false', { aggregation: 'off' }],
    ['AggregationEnabled = TRUE', { aggregation: 'shard' }],
    ['AggregationMaxCount = 12', { aggregateMaxRecords: 12 }],
    ['AggregationMaxSize = 10485760', { aggregateMaxBytes: 10_485_760 }],
    ['RecordMaxBufferedTime = 0', { lingerMs: 0 }],
    ['RecordMaxBufferedTime = 90000', { lingerMs: 30_000 }],
    ['RecordMaxBufferedTime = 90000\nRecordTtl = 100000', { lingerMs: 60_000, recordTtlMs: 100_000 }],
    ['RecordTtl = 200\nRecordMaxBufferedTime = 300', { lingerMs: 200, recordTtlMs: 200 }],
    ['RecordTtl = 9223372036854775807', { recordTtlMs: Number.MAX_SAFE_INTEGER }],
    ['MaxConnections = 256', { maxRequestsInFlight: 256 }],
    ['ConnectTimeout = 300000', { connectTimeoutMs: 300_000 }],
    ['RequestTimeout = +600000', { requestTimeoutMs: 600_000 }],
    ['RateLimit = 80', { shardRatePercent: 80 }],
    ['RateLimit = 5000', { shardRatePercent: 1000 }],
    ['CollectionMaxCount = 1', { requestMaxRecords: 1 }],
    ['CollectionMaxSize = 9223372036854775807', { requestMaxBytes: 10_485_760 }],
    ['FailIfThrottled = true', { failIfThrottled: true }],
    ['RecordDistributionStrategyDefault = AUTO', { distributionIfUnknown: 'auto' }],
    ['RecordDistributionStrategyDefault = USER_PARTITION_KEY', { distributionIfUnknown: 'partition-key' }],
    ['Region = eu-west-1', { region: 'eu-west-1' }],
    ['Region = us-gov-west-1', { region: 'us-gov-west-1' }],
    ['Region =', {}],
    ['KinesisEndpoint = kinesis.eu-west-1.amazonaws.com', { endpoint: 'https://kinesis.eu-west-1.amazonaws.com:443' }],
    ['KinesisPort = 4567\nKinesisEndpoint = 127.0.0.1', { endpoint: 'https://127.0.0.1:4567' }],
    ['KinesisPort = 4567', {}],
  ])('%s', async (text, options) => {
    const given = (await from(text)).options
    expect(given).toEqual(options)
    await new Producer({ stream: 'flights', ...given }).close()
  })
})

describe('what no option takes is named, with what to do', () => {
  test.each<[string, RegExp]>([
    ['VerifyCertificate = false', /Pass a `client`/],
    ['ProxyHost = proxy.local', /Pass a `client`/],
    ['CaCertFile = /etc/ca.pem', /NODE_EXTRA_CA_CERTS/],
    ['MaxUserRecordSize = 2048', /MaxRecordSizeInKiB/],
    ['UserRecordTimeoutInMillis = 5', /recordTtlMs/],
    ['MetricsLevel = summary', /telemetry/],
    ['GlueSchemaRegistryPropertiesFilePath = glue.properties', /encode `data`/],
    ['Colour = red', /The KPL has no such option, and leaves it out with a warning$/],
    ['recordTtl = 5', /It is spelt RecordTtl$/],
  ])('%s', async (text, reason) => {
    const [name, value] = text.split(' = ')
    const { options, unmapped, notes } = await from(`# first\n${text}`)
    expect([options, notes]).toEqual([{}, []])
    expect(unmapped).toEqual([{ name, value, line: 2, reason: expect.stringMatching(reason) }])
  })

  test('without the password', async () => {
    const { unmapped } = await from('ProxyPassword = hunter2')
    expect(unmapped).toMatchObject([{ name: 'ProxyPassword', value: '[hidden]' }])
  })
})

describe('what differs is noted', () => {
  test.each<[string, RegExp]>([
    ['AggregationMaxCount = 1000001', /at most 1000000/],
    ['RecordMaxBufferedTime = 60001\nRecordTtl = 70000', /`lingerMs` takes at most 60000/],
    ['Region =', /AWS_REGION/],
    ['KinesisPort = 4567', /without effect/],
    ['AggregationEnabled = yes', /reads this as false/],
    ['LogLevel = debug', /`logger`/],
    ['ThreadPoolSize = 8', /no threads/],
    ['EnableDaemonHealthCheck = true', /no child process/],
  ])('%s', async (text, reason) => {
    const { unmapped, notes } = await from(text)
    expect(unmapped).toEqual([])
    expect(notes).toEqual([expect.objectContaining({ line: 1, reason: expect.stringMatching(reason) })])
  })
})

describe('what the KPL refuses is refused, with file, line, option, rule and value', () => {
  test.each([
    [
      'AggregationMaxSize = 63',
      "Option `AggregationMaxSize` must be a whole number from 64 to 10485760 (text, line 1), got '63' (string)",
    ],
    ['RecordTtl = 99', '`RecordTtl` must be a whole number from 100 to 9223372036854775807 (text, line 1)'],
    ['RecordTtl = 9223372036854775808', '`RecordTtl` must be a whole number from 100'],
    ['RecordTtl = 1e3', '`RecordTtl` must be a whole number'],
    ['RecordTtl =', "`RecordTtl` must be a whole number from 100 to 9223372036854775807 (text, line 1), got ''"],
    [
      'MaxUserRecordSize = 1048576;',
      "`MaxUserRecordSize` must be a whole number from 64 to 10485760 (text, line 1), got '1048576;'",
    ],
    ['\n\nMaxConnections = 24 \n', "`MaxConnections` must be a whole number from 1 to 256 (text, line 3), got '24 '"],
    ['MaxConnections = 257', '`MaxConnections`'],
    ['KinesisEndpoint = https://localhost', '`KinesisEndpoint` must be a host name or an IP address, without protocol and port'],
    ['KinesisEndpoint = 999.1.1.1', "`KinesisEndpoint` must be a host name or an IP address (text, line 1), got '999.1.1.1'"],
    ['Region = Europe', '`Region` must be the name of a region, such as us-east-1, or nothing'],
    ['LogLevel = warn', '`LogLevel` must be one of trace, debug, info, warning, error'],
    ['ThreadingModel = pooled', '`ThreadingModel` must be one of PER_REQUEST, POOLED'],
    ['ThreadPoolSize = 2147483648', '`ThreadPoolSize` must be a whole number from 0 to 2147483647'],
    ['MetricsNamespace = AWS/Kinesis', '`MetricsNamespace` must be 1 to 255 characters'],
    ['DaemonHealthCheckTimeoutMs = 4999', '`DaemonHealthCheckTimeoutMs`'],
  ])('%j', async (text, message) => {
    const error = await from(text).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(InvalidOptionError)
    expect((error as Error).message).toContain(message)
  })

  test('of a key given twice only the last counts', async () => {
    expect(await from('RecordTtl = 5\nRecordTtl = 500')).toMatchObject({ options: { recordTtlMs: 500 } })
  })
})

/** Values that the KPL takes. */
function valueFor({ rule, default: preset }: KplOption): fc.Arbitrary<string> {
  if (rule.kind === 'boolean') return fc.constantFrom('true', 'false')
  if (rule.kind === 'integer') return fc.bigInt({ min: rule.min, max: rule.max }).map(String)
  return fc
    .constantFrom(preset, 'x', 'us-east-2', 'AUTO', 'none', 'debug', 'POOLED', 'global', 'a.b-c')
    .filter((value) => rule.pattern.test(value))
}

test('whatever the KPL takes makes a producer, and what differs from its defaults is an option or is named', async () => {
  const file = fc
    .subarray([...KPL_OPTIONS])
    .chain((options) => fc.tuple(...options.map((option) => fc.tuple(fc.constant(option), valueFor(option)))))
  await fc.assert(
    fc.asyncProperty(file, async (lines) => {
      const { options, unmapped, notes } = await from(lines.map(([{ name }, value]) => `${name}=${value}\n`).join(''))
      await new Producer({ stream: 'flights', ...options }).close()
      const named = new Set([...unmapped, ...notes].map(({ name }) => name))
      const optional = /^(Aggregation|FailIf|Record|MaxConn|ConnectT|RequestT|Region|Kinesis|Rate|Collection)/
      for (const [{ name, default: preset }, value] of lines) {
        expect(
          named.has(name) || optional.test(name) || value === preset || (name === 'MetricsLevel' && value === 'none'),
          `${name}=${value}`,
        ).toBe(true)
      }
    }),
    { numRuns: 300 },
  )
})

describe('reads', () => {
  test('a file by path and by URL, in ISO 8859-1, and names it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'shardwise-kpl-'))
    try {
      const path = join(folder, 'kpl.properties')
      writeFileSync(path, 'RecordTtl = 500\nM\u00fcll = 1\n', 'latin1')
      const expected = { options: { recordTtlMs: 500 }, unmapped: [expect.objectContaining({ name: 'M\u00fcll' })], notes: [] }
      expect(await fromKplProperties(path)).toEqual(expected)
      expect(await fromKplProperties(pathToFileURL(path))).toEqual(expected)
      writeFileSync(path, 'RecordTtl = 5')
      await expect(fromKplProperties(path)).rejects.toThrow('(kpl.properties, line 1)')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test('nothing else', async () => {
    await expect(fromKplProperties(undefined as never)).rejects.toThrow(
      'Option `file` must be the path or file: URL of a properties file, or { text }, got undefined',
    )
    await expect(fromKplProperties('/no/such/kpl.properties')).rejects.toThrow(/ENOENT.*\/no\/such\/kpl.properties/)
  })
})
