import { MAX_PUT_REQUEST_BYTES, MAX_RECORD_BYTES_CEILING, MAX_RECORDS_PER_PUT } from '@shardwise/core/service-limits'
import { atMost, choice, elsewhere, integer, type KplOption, type KplRule, noOption, number, text } from './kpl-option.js'

const LONG = 2n ** 63n - 1n
const INT = 2n ** 31n - 1n
const PORT = integer(1n, 65_535n)
const BOOLEAN: KplRule = { kind: 'boolean' }
const HOST = text(/^[A-Za-z0-9.-]*$/, 'a host name or an IP address, without protocol and port')
const REGION = text(/^([a-z]+-([a-z]+-)?[a-z]+-[0-9])?$/, 'the name of a region, such as us-east-1, or nothing')
const NAMESPACE = text(/^(?!AWS\/).{1,255}$/, '1 to 255 characters that do not begin with AWS/')
const ANY = text(/^/, 'text')

const REGION_IS_FOUND = 'Where it is empty the AWS SDK finds it (`AWS_REGION`, the profile); it does not ask the EC2 instance'
const PORT_ALONE = 'Part of the URL; without effect where `KinesisEndpoint` is not given, as in the KPL'
const OWN_CLIENT = 'Pass a `client` with a request handler of your own (docs/from-kpl.md, Proxies and certificates)'
const CERTIFICATES = 'Set `NODE_EXTRA_CA_CERTS`, or pass a `client` (docs/from-kpl.md, Proxies and certificates)'
const METRICS = 'Nothing is sent to CloudWatch: pass a `telemetry`, or read `stats()`'
const NO_UPLOAD = 'Nothing is sent to CloudWatch'
const NO_PROCESS = 'There is no child process'
const NO_THREADS = 'There are no threads; `maxRequestsInFlight` bounds what goes on at a time'
const GLUE = 'Not here: encode `data` with a serialiser of the registry before `put`'

/**
 * Every option of the KPL. Names, defaults, ranges and patterns are those of KinesisProducerConfiguration.java in
 * awslabs/amazon-kinesis-producer at 11c4a64 (1.0.7 and two changes after it); `RecordDistributionStrategyDefault` came later:
 * https://docs.aws.amazon.com/streams/latest/dev/service-managed-pk-kpl-aggregation.html
 */
export const KPL_OPTIONS: readonly KplOption[] = [
  {
    ...{ name: 'AggregationEnabled', default: 'true', rule: BOOLEAN, here: '`aggregation`' },
    about: "`true` is `'shard'`, `false` is `'off'`. Rate limits hold in both; the KPL's hold only with aggregation",
    map: (value) => ({ options: { aggregation: value === true ? 'shard' : 'off' } }),
  },
  number(
    ...(['AggregationMaxCount', '4294967295', integer(1n, LONG), 'aggregateMaxRecords', 1_000_000] as const),
    'At most 1000000. Our default is 10000',
  ),
  number(
    ...(['AggregationMaxSize', '51200', integer(64n, 10_485_760n), 'aggregateMaxBytes', MAX_RECORD_BYTES_CEILING] as const),
    'The same. Never more than the stream takes',
  ),
  {
    ...{ name: 'RecordMaxBufferedTime', default: '100', rule: integer(0n, LONG), here: '`lingerMs`' },
    about: 'At most 60000, and at most `recordTtlMs`. An aggregate leaves up to a third earlier, with that of another shard',
    map(value, other) {
      const ttl = other('RecordTtl') as bigint
      return atMost('lingerMs', value as bigint, ttl < 60_000n ? Number(ttl) : 60_000)
    },
  },
  number(
    ...(['RecordTtl', '30000', integer(100n, LONG), 'recordTtlMs', Number.MAX_SAFE_INTEGER] as const),
    'The same. Great values mean never; in the KPL a record with more than about 9.2e12 expires at once',
  ),
  number('MaxConnections', '24', integer(1n, 256n), 'maxRequestsInFlight', 256, 'The same'),
  number('ConnectTimeout', '6000', integer(100n, 300_000n), 'connectTimeoutMs', 600_000, 'Our default is 5000'),
  number('RequestTimeout', '6000', integer(100n, 600_000n), 'requestTimeoutMs', 600_000, 'Our default is 10000'),
  {
    ...{ name: 'Region', default: '', rule: REGION, here: '`region`', about: REGION_IS_FOUND },
    map: (value) => (value === '' ? { note: REGION_IS_FOUND } : { options: { region: value as string } }),
  },
  {
    ...{
      name: 'KinesisEndpoint',
      default: '',
      rule: HOST,
      here: '`endpoint`',
      about: 'A URL: `https://host:port`, or `http://`',
    },
    map: (value, other) => (value === '' ? {} : { options: { endpoint: `https://${value}:${other('KinesisPort')}` } }),
  },
  {
    ...{ name: 'KinesisPort', default: '443', rule: PORT, here: '`endpoint`', about: PORT_ALONE },
    map: (value, other) => (other('KinesisEndpoint') === '' && value !== 443n ? { note: PORT_ALONE } : {}),
  },
  number('CollectionMaxCount', '500', integer(1n, 500n), 'requestMaxRecords', MAX_RECORDS_PER_PUT, 'The same'),
  number('CollectionMaxSize', '5242880', integer(52_224n, LONG), 'requestMaxBytes', MAX_PUT_REQUEST_BYTES, 'At most 10485760'),
  number(
    ...(['RateLimit', '150', integer(1n, LONG), 'shardRatePercent', 1000] as const),
    'At most 1000. Our default is 100, and the rate adapts to what the shard takes',
  ),
  {
    ...{ name: 'FailIfThrottled', default: 'false', rule: BOOLEAN, here: '`failIfThrottled`' },
    about: 'The same: what waits for our own limits was not refused',
    map: (value) => ({ options: { failIfThrottled: value === true } }),
  },
  {
    ...{ name: 'RecordDistributionStrategyDefault', default: 'USER_PARTITION_KEY', here: '`distributionIfUnknown`' },
    rule: choice('AUTO', 'USER_PARTITION_KEY'),
    about: "`USER_PARTITION_KEY` is `'partition-key'`, `AUTO` is `'auto'`",
    map: (value) => ({ options: { distributionIfUnknown: value === 'AUTO' ? 'auto' : 'partition-key' } }),
  },
  noOption(
    ...(['MaxUserRecordSize', '1048576', integer(64n, 10_485_760n)] as const),
    'The limit is what the stream takes (`MaxRecordSizeInKiB`), key included. Check `data.length` for one of your own',
  ),
  noOption('VerifyCertificate', 'true', BOOLEAN, OWN_CLIENT),
  noOption('CaCertPath', '', ANY, CERTIFICATES),
  noOption('CaCertFile', '', ANY, CERTIFICATES),
  noOption('ProxyHost', '', ANY, OWN_CLIENT),
  noOption('ProxyPort', '443', PORT, OWN_CLIENT),
  noOption('ProxyUserName', '', ANY, OWN_CLIENT),
  noOption('ProxyPassword', '', ANY, OWN_CLIENT),
  noOption(
    ...(['UserRecordTimeoutInMillis', '0', integer(0n, LONG)] as const),
    'It ends the waiting for a result, not the sending. `recordTtlMs` ends both',
  ),
  noOption('GlueSchemaRegistryPropertiesFilePath', '', ANY, GLUE),
  elsewhere('GlueSchemaRegistryConfiguration', '', ANY, 'no option', GLUE),
  elsewhere('GlueSchemaRegistryCredentialsProvider', '', ANY, 'no option', GLUE),
  elsewhere(
    'CredentialsProvider',
    '',
    ANY,
    '`credentials`',
    'What the AWS SDK takes as credentials; its default chain without it',
  ),
  elsewhere(
    'CredentialsRefreshDelay',
    '5000',
    integer(1n, 300_000n),
    'not needed',
    'The SDK renews credentials before they expire',
  ),
  elsewhere(
    ...(['ReturnUserRecordOnFailure', 'false', BOOLEAN, 'not needed'] as const),
    'The callback of `offer` and the results of `putAll` have the record',
  ),
  elsewhere('EnableOldestFutureTracker', 'true', BOOLEAN, 'not needed', 'There is nothing to save by turning it off'),
  {
    ...{ name: 'MetricsLevel', default: 'detailed', here: '`telemetry`', about: METRICS },
    rule: choice('none', 'summary', 'detailed'),
    map: (value) => (value === 'none' ? {} : { unmapped: METRICS }),
  },
  elsewhere('MetricsGranularity', 'shard', choice('global', 'stream', 'shard'), '`telemetry`', NO_UPLOAD),
  elsewhere('MetricsNamespace', 'KinesisProducerLibrary', NAMESPACE, '`telemetry`', NO_UPLOAD),
  elsewhere('MetricsUploadDelay', '60000', integer(1n, 60_000n), '`telemetry`', NO_UPLOAD),
  elsewhere('MetricsCredentialsProvider', '', ANY, 'not needed', NO_UPLOAD),
  elsewhere('CloudwatchEndpoint', '', HOST, 'not needed', NO_UPLOAD),
  elsewhere('CloudwatchPort', '443', PORT, 'not needed', NO_UPLOAD),
  elsewhere(
    ...(['LogLevel', 'info', choice('trace', 'debug', 'info', 'warning', 'error'), '`logger`'] as const),
    'Silent without a `logger`, whose level decides',
  ),
  elsewhere('MinConnections', '1', integer(1n, 16n), 'not needed', 'The KPL reads it and makes no use of it'),
  elsewhere('ThreadingModel', 'PER_REQUEST', choice('PER_REQUEST', 'POOLED'), 'not needed', NO_THREADS),
  elsewhere('ThreadPoolSize', '0', integer(0n, INT), 'not needed', NO_THREADS),
  elsewhere('StsEndpoint', '', HOST, 'not needed', 'Without effect in the KPL since 1.0.5'),
  elsewhere('StsPort', '443', PORT, 'not needed', 'Without effect in the KPL since 1.0.5'),
  elsewhere('NativeExecutable', '', ANY, 'not needed', NO_PROCESS),
  elsewhere('TempDirectory', '', ANY, 'not needed', NO_PROCESS),
  elsewhere('EnableCoreDumps', '', BOOLEAN, 'not needed', NO_PROCESS),
  elsewhere('EnableDaemonHealthCheck', 'false', BOOLEAN, 'not needed', NO_PROCESS),
  elsewhere('DaemonHealthCheckTimeoutMs', '30000', integer(5000n, LONG), 'not needed', NO_PROCESS),
]
