import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ManualClock } from '@shardwise/core/clock'
import { expect, it } from 'vitest'
import type { DynamoDBPort } from './leases/dynamodb-port.js'
import { LeaseTable } from './leases/lease-table.js'
import { checkLeaseTableOptions } from './leases/lease-table-options.js'

const here = fileURLToPath(new URL('.', import.meta.url))
const readme = readFileSync(`${here}../README.md`, 'utf8')
const permissions = readme.slice(readme.indexOf('\n## Permissions'))

function sources(folder: string): string {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.ts') && !/\.(test|suite)\.ts$|(^|\/)testing\//.test(file),
  )
  return files.map((file) => readFileSync(`${folder}/${file}`, 'utf8')).join('\n')
}

function asked(service: string, text = permissions): string[] {
  // The tables of KCL 3.x need some of them too.
  return [...new Set([...text.matchAll(new RegExp(`\\b${service}:([A-Z]\\w+)`, 'g'))].map(([, action]) => action!))].sort()
}

it('the README asks for the permissions of the DynamoDB calls that are made, and for no other', () => {
  const made = new Set([...sources(here).matchAll(/new (\w+)Command\(/g)].map(([, operation]) => operation!))
  // Not a call of its own: CreateTable with tags needs it.
  expect([...new Set(asked('dynamodb'))]).toEqual([...made, 'TagResource'].sort())
})

it('the README asks for the permissions of the Kinesis calls that are made, and for no other', () => {
  const calls =
    /\.(getRecords|getShardIterator|listShards|describeStreamSummary|putRecords|subscribeToShard|registerStreamConsumer|describeStreamConsumer)\(/g
  const shared = ['stream-description', 'shard-map'].map((file) => readFileSync(`${here}../../core/src/${file}.ts`, 'utf8'))
  const made = new Set(
    [sources(here), ...shared]
      .join('\n')
      .match(calls)
      ?.map((call) => call[1]!.toUpperCase() + call.slice(2, -1)),
  )
  expect(asked('kinesis')).toEqual([...made].sort())
})

it('a worker that may not look at its table is told of all that it needs there, as the README has it', async () => {
  const denied = Object.assign(new Error('not authorized'), { name: 'AccessDeniedException' })
  const port = { send: () => Promise.reject(denied) } as unknown as DynamoDBPort
  const table = new LeaseTable({
    dynamodb: port,
    tableName: 'delays',
    settings: checkLeaseTableOptions(),
    clock: new ManualClock(),
  })
  const error = await table.open().catch((caught: Error) => caught)
  const needed = /^- On the lease table: (.*?)\. /ms.exec(permissions)![1]!
  expect(asked('dynamodb', error?.message ?? '')).toEqual(asked('dynamodb', needed))
})
