import type { Measurement } from './rounds.js'

/** What a benchmark is to reach, on two cores that do nothing else. Shown beside what was measured; no test fails for it. */
export interface Goal {
  /** Times as fast as the first peer, at least. */
  readonly ratio?: number
  /** In the unit of the benchmark. */
  readonly atLeast?: number
  readonly atMost?: number
}

const goals: Readonly<Record<string, Goal>> = {
  'encode-100b-repeated': { ratio: 12 },
  'encode-100b-unique': { ratio: 8 },
  'encode-1kb': { ratio: 9, atLeast: 1.4 },
  'decode-100b': { ratio: 5, atLeast: 4 },
  'getrecords-body-json': { ratio: 5 },
  'getrecords-body-cbor': { ratio: 8 },
  'key-to-shard': { atMost: 125 },
  'key-to-shard-seen': { atMost: 50 },
  'put-path-repeated': { atLeast: 10 },
  'put-path-unique': { atLeast: 3 },
  'producer-noop-batch': { ratio: 12, atLeast: 3.5 },
  'producer-noop-promise': { ratio: 6, atLeast: 2 },
  'producer-http': { ratio: 10 },
  // Fan-out: linger (20 ms) and 10 ms, and 40 ms.
  'put-handler-latency-64-shards-1-p50': { atMost: 30 },
  'put-handler-latency-64-shards-1-p99': { atMost: 60 },
  'put-handler-latency-64-shards-10-p50': { atMost: 30 },
  'put-handler-latency-64-shards-10-p99': { atMost: 60 },
  'consumer-http-cbor': { ratio: 6 },
  'consumer-http-json': { ratio: 3 },
  'pending-record-heap': { atMost: 8 },
  'pending-record-heap-promise': { atMost: 200 },
  'idle-shards': { atMost: 15 },
  'idle-shards-heap': { atMost: 100 },
  'lease-cost': { atMost: 1100 },
  // Their failover time of 10 s and 3 s more.
  failover: { atMost: 13 },
  'failover-max': { atMost: 13 },
  handover: { atMost: 2 },
  'handover-max': { atMost: 2 },
  // Flat: with the most a record costs at most a quarter more than with one.
  'growth-producer-shards': { ratio: 0.8 },
  'growth-producer-streams': { ratio: 0.8 },
  'growth-consumer-shards': { ratio: 0.8 },
  'growth-consumer-streams': { ratio: 0.8 },
}

/** The goal in words and whether it was reached; empty where there is none. */
export function goalOf({ name, ours, peers, goal = goals[name] }: Measurement): string {
  if (goal === undefined) return ''
  const parts: string[] = []
  let reached = true
  if (goal.ratio !== undefined) {
    parts.push(`x${goal.ratio}`)
    reached &&= peers[0]!.ratio >= goal.ratio
  }
  if (goal.atLeast !== undefined) {
    parts.push(`>= ${goal.atLeast}`)
    reached &&= ours >= goal.atLeast
  }
  if (goal.atMost !== undefined) {
    parts.push(`<= ${goal.atMost}`)
    reached &&= ours <= goal.atMost
  }
  return `${parts.join(', ')}: ${reached ? 'reached' : 'missed'}`
}
