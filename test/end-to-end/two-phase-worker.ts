/**
 * A consumer in a process of its own, which writes into a transactional sink: its parent. It prepares a checkpoint in the middle of an
 * aggregate, lets the sink commit or not, and never comes to commit the checkpoint.
 */
import { Consumer, type ConsumerOptions } from '@shardwise/consumer'
import { CREDENTIALS, REGION } from './local-account.js'

export interface ToTwoPhaseWorker {
  readonly options: Omit<ConsumerOptions, 'region' | 'credentials'>
  /** How many records the transaction takes, and whether it goes through. */
  readonly take: number
  readonly commits: boolean
}

export type FromTwoPhaseWorker =
  | { readonly type: 'transaction'; readonly id: string; readonly texts: readonly string[] }
  | { readonly type: 'stuck' }
  | { readonly type: 'failed'; readonly message: string }

process.once('message', (message: ToTwoPhaseWorker) => void work(message))
process.on('disconnect', () => process.exit(1))

async function work({ options, take, commits }: ToTwoPhaseWorker): Promise<void> {
  const consumer = new Consumer({ ...options, region: REGION, credentials: CREDENTIALS })
  try {
    await consumer.run(
      {
        async eachBatch(records, { prepareCheckpoint }) {
          const id = 'transaction 1'
          const part = records.slice(0, take)
          await prepareCheckpoint(part.at(-1), new TextEncoder().encode(id))
          if (commits) send({ type: 'transaction', id, texts: part.map(({ data }) => new TextDecoder().decode(data)) })
          send({ type: 'stuck' })
          await new Promise(() => {})
        },
      },
      { checkpoint: 'manual' },
    )
  } catch (error) {
    send({ type: 'failed', message: String(error) })
  }
}

function send(message: FromTwoPhaseWorker): void {
  process.send?.(message)
}
