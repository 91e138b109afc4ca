/** One local service in a process of its own: its work is not that of the process that measures, and what lies between them is real HTTP. */
import { startLocal } from '@shardwise/local'
import { startLeaseTable } from './lease-table.js'
import type { FromService, ToService } from './local-service-process.js'
import { answerQuestions, cpuMs } from './service-process.js'

answerQuestions<ToService, FromService>(async (question) => {
  if (question.type === 'cpu') return { type: 'cpu', ms: cpuMs() }
  const { service } = question
  if (service === 'lease-table') return { type: 'started', endpoint: await startLeaseTable() }
  const only = { kinesis: service === 'kinesis', dynamodb: service === 'dynamodb' }
  const local = await startLocal({ ...only, transitionMs: { create: 0, update: 0, delete: 0 } })
  return { type: 'started', endpoint: service === 'kinesis' ? local.kinesisEndpoint : local.dynamodbEndpoint }
})
