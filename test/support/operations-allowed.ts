import { subscribe } from 'node:diagnostics_channel'
import type { IncomingMessage } from 'node:http'
import { consumerPolicy } from '@shardwise/consumer/policy'
import { producerPolicy } from '@shardwise/producer/policy'
import { afterAll, expect } from 'vitest'

/**
 * Set up before each file of integration tests: whatever clients of ours ask the services of this process for in it, those of child processes too, must be
 * in the policies. Over HTTP/1.1: of a subscription over HTTP/2 Node tells nobody. Clients that a test makes for itself do not call themselves ours.
 */
const streamArns = ['arn:aws:kinesis:us-east-1:123456789012:stream/flights']
const leaseTableArn = 'arn:aws:dynamodb:us-east-1:123456789012:table/delays'
const policies = [
  producerPolicy({ streamArns }),
  consumerPolicy({ streamArns, leaseTableArn, kcl: 'beside-3', fanOut: { consumerName: 'delays' } }),
]
const allowed = new Set(policies.flatMap(({ Statement }) => Statement.flatMap(({ Action }) => Action)))
const asked = new Set<string>()

subscribe('http.server.request.start', (message) => {
  const { headers } = (message as { readonly request: IncomingMessage }).request
  if (!headers['user-agent']?.includes(' shardwise/')) return
  const [target = '', operation] = String(headers['x-amz-target']).split('.')
  asked.add(`${target.split('_')[0]!.toLowerCase()}:${operation}`)
})

afterAll(() => {
  expect([...asked].filter((action) => !allowed.has(action))).toEqual([])
})
