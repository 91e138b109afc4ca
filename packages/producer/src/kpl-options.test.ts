import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { fromKplProperties } from './from-kpl-properties.js'
import { KPL_OPTIONS } from './kpl-options.js'
import { checkOptions } from './producer-options.js'

/** Names and defaults of KinesisProducerConfiguration.java, and the one that came after it. */
const KPL: Readonly<Record<string, string>> = {
  ...{ AggregationEnabled: 'true', AggregationMaxCount: '4294967295', AggregationMaxSize: '51200', CloudwatchEndpoint: '' },
  ...{ CloudwatchPort: '443', CollectionMaxCount: '500', CollectionMaxSize: '5242880', ConnectTimeout: '6000' },
  ...{ CredentialsRefreshDelay: '5000', EnableCoreDumps: '', FailIfThrottled: 'false', KinesisEndpoint: '', KinesisPort: '443' },
  ...{ LogLevel: 'info', MaxConnections: '24', MaxUserRecordSize: '1048576', MetricsGranularity: 'shard' },
  ...{ MetricsLevel: 'detailed', MetricsNamespace: 'KinesisProducerLibrary', MetricsUploadDelay: '60000', MinConnections: '1' },
  ...{ NativeExecutable: '', RateLimit: '150', RecordMaxBufferedTime: '100', RecordTtl: '30000', Region: '' },
  ...{ RequestTimeout: '6000', TempDirectory: '', VerifyCertificate: 'true', ProxyHost: '', ProxyPort: '443' },
  ...{ ProxyUserName: '', ProxyPassword: '', StsEndpoint: '', StsPort: '443', ThreadingModel: 'PER_REQUEST' },
  ...{ ThreadPoolSize: '0', CaCertPath: '', CaCertFile: '', GlueSchemaRegistryPropertiesFilePath: '' },
  ...{ UserRecordTimeoutInMillis: '0', EnableOldestFutureTracker: 'true', ReturnUserRecordOnFailure: 'false' },
  ...{ EnableDaemonHealthCheck: 'false', DaemonHealthCheckTimeoutMs: '30000', CredentialsProvider: '' },
  ...{ MetricsCredentialsProvider: '', GlueSchemaRegistryConfiguration: '', GlueSchemaRegistryCredentialsProvider: '' },
  RecordDistributionStrategyDefault: 'USER_PARTITION_KEY',
}

test('every option of the KPL is there, once, with its default', () => {
  expect(KPL_OPTIONS.map((option) => [option.name, option.default]).sort()).toEqual(Object.entries(KPL).sort())
})

test('the README has the table: these lines, in this order', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const section = readme.split('\n## Coming from the KPL\n')[1]?.split('\n## ')[0] ?? ''
  const rows = section.match(/^\|.*$/gm)?.slice(2)
  const table = KPL_OPTIONS.map((option) => {
    const preset = option.default === '' ? '' : `\`${option.default}\``
    return `| \`${option.name}\` | ${preset} | ${option.here} | ${option.about} |`
  })
  expect(rows?.join('\n')).toBe(table.join('\n'))
})

test('what it calls an option of ours is one', () => {
  const { stream: _, ...settings } = checkOptions({ stream: 'flights' })
  const ours = [...Object.keys(settings), 'credentials', 'region', 'endpoint']
  const named = KPL_OPTIONS.flatMap(({ here }) => (here.startsWith('`') ? [here.slice(1, -1)] : []))
  expect(named.filter((name) => !ours.includes(name))).toEqual([])
  expect(named.length).toBeGreaterThan(10)
})

test("'Our default' says what it is", () => {
  const settings: Readonly<Record<string, unknown>> = { ...checkOptions({ stream: 'flights' }) }
  const said = KPL_OPTIONS.flatMap(({ here, about }) => {
    const said = /Our default is (\w+)/.exec(about)?.[1]
    return said === undefined ? [] : [[here.slice(1, -1), said]]
  })
  expect(said.length).toBeGreaterThan(2)
  expect(said).toEqual(said.map(([name]) => [name, String(settings[name!])]))
})

test("where nothing is said about our default, it is the KPL's", async () => {
  const same = KPL_OPTIONS.filter(({ here, about }) => here.startsWith('`') && !about.includes('Our default'))
  const text = same.map((option) => `${option.name} = ${option.default}`).join('\n')
  const { options } = await fromKplProperties({ text })
  expect(checkOptions({ stream: 'flights', ...options })).toEqual(checkOptions({ stream: 'flights' }))
  expect(Object.keys(options).length).toBeGreaterThan(3)
})
