import type { HashKeyRange } from '@shardwise/core/hash-key'

/** What a checkpoint of KCL's is: a sequence number or a sentinel, and the member of an aggregate. */
export interface JavaCheckpoint {
  readonly checkpoint: string
  readonly sub: number
}

export interface JavaShard {
  readonly shardId: string
  readonly parents: readonly string[]
  readonly range?: HashKeyRange | undefined
}

export type JavaStep =
  /** Undefined: there was nothing. */
  | { readonly is: 'processed'; readonly upTo: JavaCheckpoint | undefined }
  | { readonly is: 'end'; readonly children: readonly JavaShard[] }

/** A shard, with the record processor that gets its records. */
export interface JavaShardReader {
  /** Reads once and processes what came. Rejects when it could not be read. */
  next(): Promise<JavaStep>
}

/** The stream, as a Java worker reaches it. */
export interface JavaStream {
  /** `holds`: whether the worker still believes that it has the lease, asked before anything is processed. */
  open(shardId: string, from: JavaCheckpoint, holds: () => boolean): JavaShardReader
  /** All that are listed, parents before their children. Undefined: the rows are somebody else's business. */
  readonly list?: () => Promise<readonly (JavaShard & { readonly isOpen: boolean })[]>
}
