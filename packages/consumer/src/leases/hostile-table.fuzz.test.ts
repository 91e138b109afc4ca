import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { systemClock } from '@shardwise/core/clock'
import { connectDynamoDB, type DynamoDBConnection } from '@shardwise/core/transport/dynamodb'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { sequencePosition, TRIM_HORIZON } from '../checkpoints/position.js'
import { DynamoDBLeaseStore } from './dynamodb-lease-store.js'
import { aLease } from './testing/lease-rows.js'

const ROW = '{"leaseKey":{"S":"shardId-000000000001"},"leaseCounter":{"N":"7"},"checkpoint":{"S":"TRIM_HORIZON"}}'
/** Pages that point to themselves. */
const ENDLESS = [
  `{"Items":[${ROW}],"LastEvaluatedKey":{"leaseKey":{"S":"a"}}}`,
  '{"LastEvaluatedKey":{}}',
  '{"Items":[],"LastEvaluatedKey":[]}',
]
const bodies = fc.oneof(
  fc.json(),
  fc.constantFrom(
    ...['', 'null', '[]', '{', '"text"', '{"__proto__":{"polluted":true}}', '{"constructor":{"prototype":{"polluted":true}}}'],
    ...[
      '{"Items":null}',
      '{"Items":{"length":1e9}}',
      '{"Items":[null,1,[]]}',
      '{"Items":[{"leaseKey":5}]}',
      '{"Items":[{"leaseKey":{"S":{}}}]}',
    ],
    ...[`{"Items":[${ROW}]}`, `{"Item":${ROW}}`, `{"Attributes":${ROW}}`, '{"Item":[]}', '{"Attributes":{"leaseKey":{"N":"x"}}}'],
    ...ENDLESS,
    ...[
      '{"Table":null}',
      '{"Table":{"KeySchema":5}}',
      '{"Table":{"TableStatus":"ACTIVE","KeySchema":[null],"AttributeDefinitions":{}}}',
    ],
    ...['{"__type":"ConditionalCheckFailedException"}', `{"__type":"x#ConditionalCheckFailedException","Item":${ROW}}`],
    ...[
      '{"__type":"ConditionalCheckFailedException","Item":5}',
      '{"__type":["a"]}',
      '[[[['.repeat(5000),
      `{"message":"${'x'.repeat(100_000)}"}`,
    ],
  ),
)
const answers = fc.record({ status: fc.constantFrom(200, 200, 200, 400, 400, 413, 500, 503, 204), body: bodies })

let answer: { readonly status: number; readonly body: string }
let dynamodb: DynamoDBConnection
const server: Server = createServer((request, response) => {
  request.resume().on('end', () => {
    response.writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.0' })
    response.end(answer.status === 204 ? undefined : answer.body)
  })
})
const uncaught: unknown[] = []
const note = (error: unknown): void => void uncaught.push(error)

beforeAll(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b' }
  dynamodb = connectDynamoDB({ endpoint, region: 'us-east-1', credentials, requestTimeoutMs: 1000, controlAttempts: 1 })
  process.on('uncaughtException', note)
  process.on('unhandledRejection', note)
})

afterAll(() => {
  process.off('uncaughtException', note)
  process.off('unhandledRejection', note)
  dynamodb.close()
  server.closeAllConnections()
  server.close()
})

afterEach(() => {
  expect(uncaught.splice(0)).toEqual([])
  expect(Reflect.get({}, 'polluted')).toBeUndefined()
})

test('whatever the lease table answers: each call ends in time, with what it promises or an Error', {
  timeout: 60_000,
}, async () => {
  const store = new DynamoDBLeaseStore({ dynamodb, tableName: 'leases', streamName: 'flights', clock: systemClock })
  const lease = aLease('shardId-000000000001', { leaseOwner: 'me', leaseCounter: 6 })
  const made = { leaseKey: lease.leaseKey, checkpoint: TRIM_HORIZON, parentShardIds: [], range: undefined, startAt: undefined }
  const within = (ms: number): AbortSignal => {
    const limit = new AbortController()
    systemClock.schedule(ms, () => limit.abort(), { background: true })
    return limit.signal
  }
  const calls: (() => Promise<unknown>)[] = [
    // Looks at a table that is not there, and is made, for three minutes.
    () => store.open({ signal: within(100) }),
    () => store.list({ signal: within(5_000) }),
    () => store.read(lease.leaseKey),
    () => store.create(made),
    () => store.take(lease, 'me'),
    () => store.renew(lease, 'me', { checkpoint: sequencePosition('7') }),
    () => store.handOver(lease, 'me', { to: undefined }),
    () => store.end(lease, 'me', []),
    () => store.delete(lease),
  ]
  await fc.assert(
    fc.asyncProperty(answers, fc.nat(calls.length - 1), async (given, which) => {
      answer = given
      const outcome = await calls[which]!().then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      )
      if ('error' in outcome) {
        expect(outcome.error).toBeInstanceOf(Error)
        if (which !== 0) expect(outcome.error).not.toMatchObject({ name: 'AbortError' })
        return
      }
      const { leases = [], lease: found } = (outcome.value ?? {}) as {
        readonly leases?: readonly object[]
        readonly lease?: object
      }
      for (const each of [...leases, ...(found === undefined ? [] : [found])]) {
        expect(each).toMatchObject({ leaseKey: expect.any(String), leaseCounter: expect.any(Number) })
      }
    }),
    {
      numRuns: 300,
      examples: ENDLESS.map((body) => [{ status: 200, body }, 1]),
      endOnFailure: true,
      interruptAfterTimeLimit: 20_000,
    },
  )
})
