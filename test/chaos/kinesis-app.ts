/** The local Kinesis, with its quotas, in a process of its own. Its data is in memory: what restarts is the server in front of it. */
import { setTimeout as delay } from 'node:timers/promises'
import { type FaultHandle, type LocalServices, startLocal } from '@shardwise/local'
import { answerWith } from './service-app.js'

const DATA_CALLS = ['PutRecords', 'GetRecords', 'GetShardIterator', 'SubscribeToShard', 'ListShards', 'DescribeStreamSummary']

let local: LocalServices | undefined
let failing: FaultHandle[] = []

answerWith({
  async start() {
    local = await startLocal({ dynamodb: false, transitionMs: { create: 50, update: 300, consumer: 100 } })
    return local.kinesisEndpoint
  },
  async model({ operation, input }) {
    return local!.model.call(operation, input)
  },
  async restart({ downMs }) {
    const { model, kinesisEndpoint, stop } = local!
    await stop()
    await delay(downMs)
    local = await startLocal({ dynamodb: false, model, port: Number(new URL(kinesisEndpoint).port) })
    return undefined
  },
  async fail(on) {
    for (const fault of failing.splice(0)) fault.remove()
    const rule = { fail: { code: 'ServiceUnavailable' }, times: Number.POSITIVE_INFINITY }
    if (on) failing = DATA_CALLS.map((operation) => local!.faults.on(operation, { ...rule, service: 'kinesis' }))
    return undefined
  },
})
