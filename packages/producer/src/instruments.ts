/** One measurement that a producer gives to `telemetry`. */
export interface Instrument {
  readonly kind: 'counter' | 'histogram' | 'gauge'
  /** As UCUM, and OpenTelemetry, has it. */
  readonly unit: string
  readonly description: string
}

/**
 * All measurements by name, so that an adapter can make its instruments with units and descriptions. Each has the attribute `stream`;
 * `shardId`, `code` and `reason` where the README's table names them.
 */
export const producerInstruments: {
  readonly [name in InstrumentName]: Instrument
} = {
  'shardwise.producer.user_records.received': { kind: 'counter', unit: '{record}', description: 'User records accepted' },
  'shardwise.producer.user_records.pending': {
    kind: 'gauge',
    unit: '{record}',
    description: 'User records accepted and not settled',
  },
  'shardwise.producer.user_records.put': { kind: 'counter', unit: '{record}', description: 'User records delivered' },
  'shardwise.producer.user_records.failed': {
    kind: 'counter',
    unit: '{record}',
    description: 'User records that finally failed',
  },
  'shardwise.producer.user_records.data': { kind: 'counter', unit: 'By', description: 'Data of user records delivered' },
  'shardwise.producer.kinesis_records.put': {
    kind: 'counter',
    unit: '{record}',
    description: 'Kinesis records taken by the service',
  },
  'shardwise.producer.kinesis_records.data': {
    kind: 'counter',
    unit: 'By',
    description: 'Bytes of Kinesis records taken by the service',
  },
  'shardwise.producer.kinesis_record.user_records': {
    ...{ kind: 'histogram', unit: '{record}', description: 'User records in a Kinesis record sent' },
  },
  'shardwise.producer.kinesis_record.retries': {
    ...{ kind: 'histogram', unit: '{attempt}', description: 'Attempts after the first one of a Kinesis record delivered' },
  },
  'shardwise.producer.errors': {
    ...{ kind: 'counter', unit: '{error}', description: 'Kinesis records refused, and requests that failed as a whole' },
  },
  'shardwise.producer.buffering.duration': {
    ...{ kind: 'histogram', unit: 'ms', description: 'From acceptance, or the end of the attempt before, to sending' },
  },
  'shardwise.producer.wait.duration': {
    ...{
      kind: 'histogram',
      unit: 'ms',
      description: "How long a limit, order or a retry held back the first in a shard's queue",
    },
  },
  'shardwise.producer.request.duration': { kind: 'histogram', unit: 'ms', description: 'PutRecords' },
  'shardwise.producer.request.kinesis_records': {
    kind: 'histogram',
    unit: '{record}',
    description: 'Kinesis records in a PutRecords',
  },
  'shardwise.producer.request.user_records': { kind: 'histogram', unit: '{record}', description: 'User records in a PutRecords' },
}

export type InstrumentName =
  | `shardwise.producer.user_records.${'received' | 'pending' | 'put' | 'failed' | 'data'}`
  | `shardwise.producer.kinesis_records.${'put' | 'data'}`
  | `shardwise.producer.kinesis_record.${'user_records' | 'retries'}`
  | 'shardwise.producer.errors'
  | `shardwise.producer.${'buffering' | 'wait' | 'request'}.duration`
  | `shardwise.producer.request.${'kinesis_records' | 'user_records'}`
