/** One measurement that a producer gives to `telemetry`. */
export interface Instrument {
  readonly kind: 'counter' | 'histogram' | 'gauge'
  /** As UCUM, and OpenTelemetry, has it. */
  readonly unit: string
  readonly description: string
  /** Besides `stream`, which all have. `shardId` is left out where the service places records itself. */
  readonly attributes: readonly ('shardId' | 'code' | 'reason')[]
}

/** All measurements by name, so that an adapter can make its instruments with units and descriptions. */
export const producerInstruments: { readonly [name in InstrumentName]: Instrument } = {
  'shardwise.producer.user_records.received': {
    ...{ kind: 'counter', unit: '{record}', attributes: [] },
    description: 'User records accepted',
  },
  'shardwise.producer.user_records.pending': {
    ...{ kind: 'gauge', unit: '{record}', attributes: [] },
    description: 'User records accepted and not settled',
  },
  'shardwise.producer.user_records.put': {
    ...{ kind: 'counter', unit: '{record}', attributes: ['shardId'] },
    description: 'User records delivered',
  },
  'shardwise.producer.user_records.failed': {
    ...{ kind: 'counter', unit: '{record}', attributes: ['reason'] },
    description: 'User records that finally failed',
  },
  'shardwise.producer.user_records.data': {
    ...{ kind: 'counter', unit: 'By', attributes: ['shardId'] },
    description: 'Data of user records delivered',
  },
  'shardwise.producer.kinesis_records.put': {
    ...{ kind: 'counter', unit: '{record}', attributes: ['shardId'] },
    description: 'Kinesis records taken by the service',
  },
  'shardwise.producer.kinesis_records.data': {
    ...{ kind: 'counter', unit: 'By', attributes: ['shardId'] },
    description: 'Bytes of Kinesis records taken by the service',
  },
  'shardwise.producer.kinesis_record.user_records': {
    ...{ kind: 'histogram', unit: '{record}', attributes: ['shardId'] },
    description: 'User records in a Kinesis record sent',
  },
  'shardwise.producer.kinesis_record.retries': {
    ...{ kind: 'histogram', unit: '{attempt}', attributes: ['shardId'] },
    description: 'Attempts after the first one of a Kinesis record delivered',
  },
  'shardwise.producer.errors': {
    ...{ kind: 'counter', unit: '{error}', attributes: ['shardId', 'code'] },
    description: 'Kinesis records refused, and requests that failed as a whole',
  },
  'shardwise.producer.buffering.duration': {
    ...{ kind: 'histogram', unit: 'ms', attributes: ['shardId'] },
    description: 'From acceptance, or the end of the attempt before, to sending',
  },
  'shardwise.producer.wait.duration': {
    ...{ kind: 'histogram', unit: 'ms', attributes: ['shardId', 'reason'] },
    description: "How long a limit, order or a retry held back the first in a shard's queue",
  },
  'shardwise.producer.request.duration': {
    ...{ kind: 'histogram', unit: 'ms', attributes: ['code'] },
    description: 'PutRecords',
  },
  'shardwise.producer.request.kinesis_records': {
    ...{ kind: 'histogram', unit: '{record}', attributes: [] },
    description: 'Kinesis records in a PutRecords',
  },
  'shardwise.producer.request.user_records': {
    ...{ kind: 'histogram', unit: '{record}', attributes: [] },
    description: 'User records in a PutRecords',
  },
}

export type InstrumentName =
  | `shardwise.producer.user_records.${'received' | 'pending' | 'put' | 'failed' | 'data'}`
  | `shardwise.producer.kinesis_records.${'put' | 'data'}`
  | `shardwise.producer.kinesis_record.${'user_records' | 'retries'}`
  | 'shardwise.producer.errors'
  | `shardwise.producer.${'buffering' | 'wait' | 'request'}.duration`
  | `shardwise.producer.request.${'kinesis_records' | 'user_records'}`
