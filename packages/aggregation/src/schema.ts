import protobuf from 'protobufjs/light.js'

/** proto/aggregated-record.proto as a protobufjs descriptor, so that nothing is read or parsed at run time. */
export const descriptor: protobuf.INamespace = {
  nested: {
    shardwise: {
      nested: {
        aggregation: {
          nested: {
            AggregatedRecord: {
              edition: 'proto2',
              fields: {
                partitionKeyTable: { rule: 'repeated', type: 'string', id: 1 },
                explicitHashKeyTable: { rule: 'repeated', type: 'string', id: 2 },
                records: { rule: 'repeated', type: 'Record', id: 3 },
              },
            },
            Record: {
              edition: 'proto2',
              fields: {
                partitionKeyIndex: { rule: 'required', type: 'uint64', id: 1 },
                explicitHashKeyIndex: { type: 'uint64', id: 2 },
                data: { rule: 'required', type: 'bytes', id: 3 },
                tags: { rule: 'repeated', type: 'Tag', id: 4 },
              },
            },
            Tag: {
              edition: 'proto2',
              fields: { key: { rule: 'required', type: 'string', id: 1 }, value: { type: 'string', id: 2 } },
            },
          },
        },
      },
    },
  },
}

const root = protobuf.Root.fromJSON(descriptor)

/**
 * The messages of the aggregated record format as protobufjs types, for tools and tests. They know nothing of the magic number and the
 * MD5 trailer around the message: AggregateBuilder and decodeAggregate do.
 */
export const AggregatedRecord: protobuf.Type = root.lookupType('shardwise.aggregation.AggregatedRecord')
export const Record: protobuf.Type = root.lookupType('shardwise.aggregation.Record')
export const Tag: protobuf.Type = root.lookupType('shardwise.aggregation.Tag')
