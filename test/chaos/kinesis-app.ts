/** The local Kinesis, with its quotas, in a process of its own. Its data is in memory: what restarts is the server in front of it. */
import { setTimeout as delay } from 'node:timers/promises'
import { type FaultHandle, type LocalServices, type ObservedCall, startLocal } from '@shardwise/local'
import { tell } from './facts.js'
import { machineNow } from './machine-time.js'
import { answerWith } from './service-app.js'

const DATA_CALLS = ['PutRecords', 'GetRecords', 'GetShardIterator', 'SubscribeToShard', 'ListShards', 'DescribeStreamSummary']

const THROTTLED = 'ProvisionedThroughputExceededException'

let local: LocalServices | undefined
let failing: FaultHandle[] = []

answerWith({
  async start() {
    local = await startLocal({ dynamodb: false, transitionMs: { create: 50, update: 300, consumer: 100 } })
    watchQuotas(local)
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
    watchQuotas(local)
    return undefined
  },
  async fail(on) {
    for (const fault of failing.splice(0)) fault.remove()
    const rule = { fail: { code: 'ServiceUnavailable' }, times: Number.POSITIVE_INFINITY }
    if (on) failing = DATA_CALLS.map((operation) => local!.faults.on(operation, { ...rule, service: 'kinesis' }))
    return undefined
  },
})

function watchQuotas({ faults }: LocalServices): void {
  for (const operation of ['PutRecords', 'GetRecords'])
    faults.on(operation, { observe: throttled, times: Number.POSITIVE_INFINITY })
}

function throttled({ operation, outcome }: ObservedCall): void {
  let [writes, reads] = [0, 0]
  if (operation === 'GetRecords') reads = outcome.kind === 'failed' && outcome.code === THROTTLED ? 1 : 0
  else if (outcome.kind === 'answered') {
    const { Records = [] } = outcome.output as { readonly Records?: readonly { readonly ErrorCode?: string }[] }
    writes = Records.filter(({ ErrorCode }) => ErrorCode === THROTTLED).length
  }
  if (writes + reads > 0) tell({ fact: 'throttled', writes, reads }, machineNow())
}
