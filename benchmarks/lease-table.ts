/**
 * The simulation's DynamoDB behind HTTP, for the leases of one worker. dynalite takes about 3 ms for a renewal, so that the 300 a second of a thousand
 * leases are more than it can answer, and what was measured beside it were renewals that fail.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { systemClock } from '@shardwise/core/clock'
import { systemRandom } from '@shardwise/core/random'
import { DynamoDBService } from '../test/simulation/dynamodb-service.js'

/** Resolves to its endpoint. It lives as long as its process. */
export async function startLeaseTable(): Promise<string> {
  const time = {
    get now() {
      return systemClock.now()
    },
  }
  const service = new DynamoDBService(time, systemRandom, () => {})
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const operation = String(request.headers['x-amz-target']).split('.')[1]!
      let status = 200
      let answer: object
      try {
        answer = service.perform('worker', operation, JSON.parse(Buffer.concat(chunks).toString()))
      } catch (error) {
        status = 400
        const { name, message, Item } = error as Error & { readonly Item?: object }
        answer = { __type: `com.amazonaws.dynamodb.v20120810#${name}`, message, Item }
      }
      const text = Buffer.from(JSON.stringify(answer))
      const date = new Date(systemClock.wallTime()).toUTCString()
      const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-requestid': '0'.repeat(52), date }
      response.writeHead(status, { ...headers, 'content-length': text.length }).end(text)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
