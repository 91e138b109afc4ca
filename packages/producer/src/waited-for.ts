/**
 * What a record waited for that expired without having been sent: the write limit of its shard, the stream's (`streamRate`), an earlier
 * record that must settle first (`order`), a free request (`maxRequestsInFlight`), or the shard map.
 */
export type WaitedFor = 'limit' | 'stream-limit' | 'order' | 'requests' | 'shard-map'

/** The end of a sentence: what it was, and what helps. */
export const WAITED_FOR: Readonly<Record<WaitedFor, string>> = {
  limit: "the shard's write limit. Put less, spread the keys, or add shards",
  'stream-limit': "the stream's rate. Put less, or allow more with streamRate",
  order: 'an earlier record of its shard or key, to keep the order',
  requests: 'a free request. Put less, or allow more with maxRequestsInFlight',
  'shard-map': 'the shard map, which did not come',
}
