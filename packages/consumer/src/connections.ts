import type { FanOutPort } from '@shardwise/core/fan-out-port'
import type { KinesisPort } from '@shardwise/core/kinesis-port'
import { connectKinesis } from '@shardwise/core/transport'
import { connectDynamoDB } from '@shardwise/core/transport/dynamodb'
import type { ConsumerEvent } from './consumer-events.js'
import type { ConsumerOptions, ConsumerSettings } from './consumer-options.js'
import { DynamoDBLeaseStore } from './leases/dynamodb-lease-store.js'
import { KclTables } from './leases/kcl-tables.js'
import type { LeaseStore } from './leases/lease-store.js'
import { ThrottlingWatch } from './leases/throttling-watch.js'

/** What a consumer reaches outside of its process. */
export interface Connections {
  readonly port: KinesisPort
  /** Undefined where nothing is subscribed to. */
  readonly fanOut: FanOutPort | undefined
  readonly store: LeaseStore
  /** Where Java's KCL shows itself. Undefined: not to be looked for. */
  readonly kclTables: KclTables | undefined
  /** Closes what was opened for this consumer, and nothing that its user gave. */
  readonly close: () => void
}

/** Each step of the start, each audit and each read repeats its calls by itself: more would only delay the word that nobody answers. */
const CONTROL_ATTEMPTS = 2

/** No I/O yet. `streamArn`: of a single stream, as soon as it is described. */
export function connect(
  options: ConsumerOptions<unknown>,
  settings: ConsumerSettings,
  streamArn: () => string | undefined,
  emit: (event: ConsumerEvent) => void,
): Connections {
  const { client, region, endpoint, credentials, wire, sender, kinesis, dynamodb, dynamodbEndpoint, leaseStore } = options
  const { clock, leaseTable: tableName, leaseTableSettings: table, streams, severalStreams, applicationName, kcl } = settings
  const streamName = severalStreams ? undefined : streams[0]!.name
  const toKinesis =
    kinesis === undefined
      ? connectKinesis({ client, region, endpoint, credentials, wire, sender, clock, controlAttempts: CONTROL_ATTEMPTS })
      : undefined
  const port = kinesis ?? toKinesis!.port
  const fanOut = settings.retrieval.is === 'polling' ? undefined : ((kinesis as FanOutPort | undefined) ?? toKinesis!.fanOut)
  if (leaseStore !== undefined) return { port, fanOut, store: leaseStore, kclTables: undefined, close: () => toKinesis?.close() }
  const toDynamoDB = connectDynamoDB({ client: dynamodb, region, endpoint: dynamodbEndpoint, credentials, sender, clock })
  const watched = new ThrottlingWatch({ dynamodb: toDynamoDB, clock, emit })
  const store = new DynamoDBLeaseStore({ dynamodb: watched, tableName, table, streamName, streamArn, clock })
  const kclTables = kcl === 'off' ? undefined : new KclTables({ dynamodb: watched, leaseTable: tableName, applicationName })
  const close = (): void => {
    toKinesis?.close()
    toDynamoDB.close()
  }
  return { port, fanOut, store, kclTables, close }
}
