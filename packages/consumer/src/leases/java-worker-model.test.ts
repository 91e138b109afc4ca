import { type AttributeValue, GetItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb'
import { ManualClock, sleep } from '@shardwise/core/clock'
import { expect, test } from 'vitest'
import { JavaTaker } from './testing/java-worker-model.js'

const FAILOVER_MS = 1_000

test('a renewal that succeeds when the lease has expired for its owner leaves nothing that is kept and not worked on', async () => {
  const clock = new ManualClock()
  let row: Record<string, AttributeValue> = { leaseKey: { S: 's' }, leaseCounter: { N: '0' }, checkpoint: { S: 'TRIM_HORIZON' } }
  let renewals = 0
  let reads = 0
  const send = async (command: object): Promise<object> => {
    if (command instanceof ScanCommand) return { Items: [row] }
    if (command instanceof GetItemCommand) return { Item: row }
    const { input } = command as { readonly input: { readonly UpdateExpression: string } }
    if (!input.UpdateExpression.includes('leaseOwner') && ++renewals === 1) await sleep(clock, FAILOVER_MS * 2)
    row = { ...row, leaseOwner: { S: 'java' }, leaseCounter: { N: `${Number(row.leaseCounter!.N) + 1}` } }
    return { Attributes: row }
  }
  const next = async (): Promise<{ readonly is: 'processed'; readonly upTo: undefined }> => {
    await sleep(clock, 100)
    reads++
    return { is: 'processed', upTo: undefined }
  }
  const worker = new JavaTaker({
    ...{ tables: { send }, tableName: 't', workerId: 'java', failoverTimeMs: FAILOVER_MS, clock, random: () => 0.5 },
    stream: { open: () => ({ next }) },
  })
  worker.start()
  await clock.advanceAsync(FAILOVER_MS * 3.5)
  expect([renewals > 0, worker.heldShards]).toEqual([true, []])
  const before = reads
  // Its row stands still, and it takes it again as anybody would.
  await clock.advanceAsync(FAILOVER_MS * 10)
  expect(worker.heldShards).toEqual(['s'])
  expect(reads).toBeGreaterThan(before)
  worker.kill()
})
