/** One local service in a process of its own: its work is not that of the process that measures, and what lies between them is real HTTP. */
import { startLocal } from '@shardwise/local'
import type { FromService, ToService } from './local-service-process.js'

process.on('message', (message: ToService) => {
  if (message.type === 'start') void start(message.service)
  else {
    const { user, system } = process.cpuUsage()
    tell({ type: 'cpu', ms: (user + system) / 1000 })
  }
})
// Ctrl-C reaches every process of the terminal. When the one that measures is gone, so are we.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('disconnect', () => process.exit(0))

async function start(service: 'kinesis' | 'dynamodb'): Promise<void> {
  const only = { kinesis: service === 'kinesis', dynamodb: service === 'dynamodb' }
  const local = await startLocal({ ...only, transitionMs: { create: 0, update: 0, delete: 0 } })
  tell({ type: 'started', endpoint: service === 'kinesis' ? local.kinesisEndpoint : local.dynamodbEndpoint })
}

function tell(message: FromService): void {
  if (process.connected) process.send!(message)
}
