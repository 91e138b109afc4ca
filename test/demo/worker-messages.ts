import type { DeliveredBatch } from './ledger.js'

/** From the parent to a worker process. */
export type ToWorker =
  | { readonly type: 'start'; readonly worker: WorkerSetup }
  | { readonly type: 'confirm'; readonly batch: number }
  | { readonly type: 'stop' }

/** From a worker process to its parent. */
export type FromWorker =
  | { readonly type: 'delivered'; readonly batch: number; readonly records: DeliveredBatch; readonly millisBehindLatest: number }
  | { readonly type: 'lost'; readonly shardId: string }
  | { readonly type: 'failed'; readonly message: string }

export interface WorkerSetup {
  readonly name: string
  readonly stream: string
  readonly applicationName: string
  readonly kinesisEndpoint: string
  readonly dynamodbEndpoint: string
  readonly failoverTimeMs: number
  readonly fanOut: boolean
}
