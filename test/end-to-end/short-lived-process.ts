/**
 * A process that puts, flushes and never closes: a script, or a handler that is called by lines on its standard input and answers each
 * with a line when its records have settled.
 */
import { createInterface } from 'node:readline'
import { Producer } from '@shardwise/producer'
import { CREDENTIALS, REGION } from './local-account.js'

const [endpoint, way] = process.argv.slice(2)
const producer = new Producer({
  ...{ stream: 'flights', endpoint, region: REGION, credentials: CREDENTIALS, aggregation: 'off' },
  // Longer than any test: what is delivered at all was hurried by a flush.
  ...{ lingerMs: 60_000, recordTtlMs: 120_000, connectTimeoutMs: 60_000, requestTimeoutMs: way === 'handler' ? 4000 : 60_000 },
})
const failures: string[] = []
producer.events.on('record-failed', ({ error }) => void failures.push(error.message))

function offer(...ids: readonly string[]): void {
  for (const [i, id] of ids.entries()) {
    producer.offer({ stream: i % 2 === 0 ? 'flights' : 'gates', partitionKey: id, data: Buffer.from(id) })
  }
}

if (way === 'script') {
  offer('a', 'b', 'c')
  await producer.flush()
  console.log(`settled, ${failures.length} failed`)
} else if (way === 'start') {
  await producer.start()
  console.log('started')
} else {
  for await (const line of createInterface({ input: process.stdin })) {
    offer(...line.split(' '))
    await producer.flush()
    console.log(`settled ${line}, ${failures.length} failed`)
  }
}
