import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type AttributeValue, DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb'
import { expect, it } from 'vitest'
import { CREDENTIALS, REGION, StreamHarness } from './consumer-harness.js'
import type { FromTwoPhaseWorker, ToTwoPhaseWorker } from './two-phase-worker.js'

const TEXTS = ['0', '1', '2', '3', '4', '5']
const TAKEN = 3

async function leaseRow({ local }: StreamHarness): Promise<Record<string, AttributeValue>> {
  const dynamodb = new DynamoDBClient({ endpoint: local.dynamodbEndpoint, region: REGION, credentials: CREDENTIALS })
  const { Items = [] } = await dynamodb.send(new ScanCommand({ TableName: 'delays', ConsistentRead: true }))
  dynamodb.destroy()
  return Items[0]!
}

/** A worker that is killed between prepare and commit. Resolves to what its sink has committed. */
async function lifeAndDeath(harness: StreamHarness, commits: boolean): Promise<Map<string, readonly string[]>> {
  const sink = new Map<string, readonly string[]>()
  const child = fork(fileURLToPath(new URL('./two-phase-worker.ts', import.meta.url)), {
    execArgv: ['--import', 'tsx', '-C', 'shardwise-source'],
  })
  const exited = once(child, 'exit')
  try {
    const { region: _, credentials: __, ...options } = harness.options({ workerId: 'first' })
    const order: ToTwoPhaseWorker = { options, take: TAKEN, commits }
    await new Promise<void>((resolve, reject) => {
      child.on('message', (message: FromTwoPhaseWorker) => {
        if (message.type === 'transaction') sink.set(message.id, message.texts)
        else if (message.type === 'stuck') resolve()
        else reject(new Error(message.message))
      })
      child.once('exit', (code) => reject(new Error(`The worker ended with ${code}`)))
      child.send(order)
    })
  } finally {
    child.kill('SIGKILL')
    await exited
  }
  return sink
}

it.each([
  { sinkHas: 'committed', commits: true, second: ['3', '4', '5'] },
  { sinkHas: 'not committed', commits: false, second: TEXTS },
])(
  'a worker dies between prepare and commit, in the middle of an aggregate, and its sink has $sinkHas: the next one knows, and the sink has each record once',
  async ({ commits, second }) => {
    await using harness = await StreamHarness.start(1)
    await harness.putAggregate('key', TEXTS.slice(0, 5))
    await harness.put('key', TEXTS[5]!)
    const sink = await lifeAndDeath(harness, commits)
    const before = await leaseRow(harness)
    expect(before).toMatchObject({
      checkpoint: { S: 'TRIM_HORIZON' },
      pendingCheckpoint: { S: expect.stringMatching(/^\d+$/) },
      pendingCheckpointSubSequenceNumber: { N: `${TAKEN - 1}` },
      pendingCheckpointState: { B: new TextEncoder().encode('transaction 1') },
    })

    const consumer = harness.consumer({ workerId: 'second' })
    const found: unknown[] = []
    let number = 1
    let all = (): void => {}
    const complete = new Promise<void>((resolve) => {
      all = resolve
    })
    const running = consumer.run(
      {
        async eachBatch(records, { pendingCheckpoint: pending, checkpoint, prepareCheckpoint }) {
          let rest = [...records]
          if (pending !== undefined) {
            const id = new TextDecoder().decode(pending.state)
            found.push([id, pending.position])
            if (sink.has(id)) {
              await checkpoint(pending.position)
              rest = rest.filter((record) => !pending.covers(record))
            }
          }
          if (rest.length > 0) {
            const id = `transaction ${++number}`
            const prepared = await prepareCheckpoint(rest.at(-1), new TextEncoder().encode(id))
            sink.set(
              id,
              rest.map(({ data }) => new TextDecoder().decode(data)),
            )
            await prepared.commit()
          }
          if ([...sink.values()].flat().length === TEXTS.length) all()
        },
      },
      { checkpoint: 'manual' },
    )
    await complete
    await consumer.stop()
    await running
    const position = { kind: 'sequence', sequenceNumber: before.pendingCheckpoint?.S, subSequenceNumber: TAKEN - 1 }
    expect(found).toEqual([['transaction 1', position]])
    expect([...sink.values()].flat()).toEqual(TEXTS)
    expect([...sink].filter(([id]) => id !== 'transaction 1').flatMap(([, texts]) => texts)).toEqual(second)
    const after = await leaseRow(harness)
    expect(Object.keys(after).filter((name) => name.startsWith('pending'))).toEqual([])
    expect(BigInt(after.checkpoint?.S ?? 0)).toBeGreaterThan(BigInt(before.pendingCheckpoint!.S!))
  },
  60_000,
)

it('a manual checkpoint in the middle of an aggregate: the next worker goes on at the very next record', async () => {
  await using harness = await StreamHarness.start(1)
  await harness.putAggregate('key', TEXTS)
  const first = harness.consumer({ workerId: 'first' })
  let marked = (): void => {}
  const checkpointed = new Promise<void>((resolve) => {
    marked = resolve
  })
  const firstRun = first.run(
    {
      async eachRecord(record, { checkpoint }) {
        if (record.subSequenceNumber === 3) await checkpoint(record)
        if (record.subSequenceNumber === 5) marked()
      },
    },
    { checkpoint: 'manual' },
  )
  await checkpointed
  await first.stop()
  await firstRun
  expect(await leaseRow(harness)).toMatchObject({ checkpointSubSequenceNumber: { N: '3' } })
  const second = harness.consumer({ workerId: 'second' })
  const seen: string[] = []
  const quit = new AbortController()
  for await (const record of second.records({ signal: quit.signal, checkpoint: 'manual' })) {
    seen.push(new TextDecoder().decode(record.data))
    await record.context.checkpoint()
    if (seen.length === 2) quit.abort()
  }
  expect(seen).toEqual(['4', '5'])
  expect(await leaseRow(harness)).toMatchObject({ checkpointSubSequenceNumber: { N: '5' } })
})
