import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { DescribeTableCommand } from '@aws-sdk/client-dynamodb'
import { expect, it } from 'vitest'
import { connectDynamoDB } from './dynamodb.js'
import { connectKinesis } from './kinesis-connection.js'
import { USER_AGENT } from './user-agent.js'

it('has the version of the package', () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  expect(USER_AGENT).toEqual([['shardwise', version]])
})

it('goes along with each call of our clients, in either encoding', async () => {
  const agents: [string, string | undefined][] = []
  const server = createServer((request, response) => {
    agents.push([request.headers['content-type']!.replace('application/x-amz-', ''), request.headers['user-agent']])
    response.writeHead(400, { 'content-type': 'application/x-amz-json-1.1' }).end('{"__type":"AccessDeniedException"}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const common = { endpoint, region: 'us-east-1', credentials: { accessKeyId: 'a', secretAccessKey: 's' } }
  const kinesis = connectKinesis(common)
  const dynamodb = connectDynamoDB(common)
  try {
    const refused = { name: 'AccessDeniedException' }
    await expect(kinesis.port.putRecords({ StreamName: 'flights', Records: [] })).rejects.toMatchObject(refused)
    await expect(kinesis.port.listShards({ StreamName: 'flights' })).rejects.toMatchObject(refused)
    await expect(dynamodb.send(new DescribeTableCommand({ TableName: 'delays' }))).rejects.toMatchObject(refused)
  } finally {
    kinesis.close()
    dynamodb.close()
    server.close()
    server.closeAllConnections()
  }
  expect(new Set(agents.map(([type]) => type))).toEqual(new Set(['json-1.1', 'cbor-1.1', 'json-1.0']))
  for (const [, agent] of agents) expect(agent).toContain(' shardwise/')
})
