import { runCases } from './conformance-case.js'
import { fanOutCases } from './fan-out-cases.js'
import { recordCases } from './record-cases.js'
import type { ServiceTarget } from './service-under-test.js'
import { shardCases } from './shard-cases.js'
import { streamCases } from './stream-cases.js'

/** What Shardwise needs of Kinesis, as calls of the real SDK. See README.md beside this file. */
export function kinesisServiceSuite(target: ServiceTarget): void {
  runCases(target, [...streamCases, ...recordCases, ...shardCases, ...fanOutCases])
}
