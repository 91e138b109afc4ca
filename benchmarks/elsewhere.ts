import { setTimeout as delay } from 'node:timers/promises'
import {
  CreateStreamCommand,
  DeleteStreamCommand,
  DescribeStreamSummaryCommand,
  KinesisClient,
  ListShardsCommand,
  type ListShardsCommandInput,
  type ListShardsCommandOutput,
} from '@aws-sdk/client-kinesis'
import type { HashKeyRange } from '@shardwise/core/hash-key'
import { UsageError } from './usage-error.js'

/** How to reach a service. */
export interface Connection {
  readonly region: string
  readonly endpoint: string
  readonly credentials: {
    readonly accessKeyId: string
    readonly secretAccessKey: string
    readonly sessionToken?: string
  }
}

/** A Kinesis that is none of our own processes, and the name of the stream that may be made there, and is deleted again. */
export interface Elsewhere {
  readonly connection: Connection
  readonly stream: string
}

interface Arguments {
  readonly endpoint?: string | undefined
  readonly region?: string | undefined
  readonly stream?: string | undefined
}

const AWS_HOST = /(^|\.)(amazonaws\.com(\.cn)?|api\.aws|api\.amazonwebservices\.com\.cn)$/i
/** Any will do where nobody looks at them. */
const NO_ACCOUNT = { accessKeyId: 'AKID', secretAccessKey: 'secret' }
const POLL_MS = 250

/** Undefined where none of the three is given. Throws UsageError. */
export async function elsewhereOf(
  { endpoint, region, stream }: Arguments,
  env: NodeJS.ProcessEnv,
): Promise<Elsewhere | undefined> {
  if (endpoint === undefined && region === undefined && stream === undefined) return undefined
  if (endpoint === undefined || region === undefined || stream === undefined) {
    throw new UsageError(
      '--endpoint, --region and --stream belong together: give all three, or none to measure against processes of our own',
    )
  }
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
    throw new UsageError(`--endpoint must be a URL that begins with http:// or https://, got '${endpoint}'`)
  }
  if (!/^[a-zA-Z0-9_.-]{1,128}$/.test(stream)) {
    throw new UsageError(`--stream must be 1 to 128 of a-z, A-Z, 0-9, _ . -, got '${stream}'`)
  }
  const isAws = AWS_HOST.test(new URL(endpoint).hostname)
  if (isAws && env.SHARDWISE_AWS !== '1') {
    throw new UsageError(
      `--endpoint ${endpoint} is AWS itself, where the stream '${stream}' would be made, paid for and deleted: set SHARDWISE_AWS=1 if you mean it`,
    )
  }
  if (!isAws && env.AWS_ACCESS_KEY_ID === undefined) return { connection: { region, endpoint, credentials: NO_ACCOUNT }, stream }
  const client = new KinesisClient({ region, endpoint })
  const { accessKeyId, secretAccessKey, sessionToken } = await client.config.credentials()
  client.destroy()
  const credentials = { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) }
  return { connection: { region, endpoint, credentials }, stream }
}

export interface OwnShard {
  readonly shardId: string
  readonly range: HashKeyRange
}

/** A stream that this run made, and that goes with it, also when a signal ends it. */
export class OwnStream implements AsyncDisposable {
  readonly client: KinesisClient
  readonly name: string
  #shards: readonly OwnShard[] = []
  readonly #onSignal = (signal: NodeJS.Signals): void => {
    process.stderr.write(`\n${signal}: deleting the stream '${this.name}' ...\n`)
    this.#delete().then(
      () => process.exit(1),
      (error: Error) => {
        process.stderr.write(`The stream '${this.name}' is still there, delete it yourself: ${error.message}\n`)
        process.exit(1)
      },
    )
  }

  private constructor(client: KinesisClient, name: string) {
    this.client = client
    this.name = name
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, this.#onSignal)
  }

  /** Throws UsageError if there is such a stream already: what others put is neither read nor deleted. */
  static async make({ connection, stream }: Elsewhere, shards: number): Promise<OwnStream> {
    const client = new KinesisClient(connection)
    try {
      await client.send(new CreateStreamCommand({ StreamName: stream, ShardCount: shards }))
    } catch (error) {
      client.destroy()
      if ((error as Error).name !== 'ResourceInUseException') throw error
      throw new UsageError(`--stream must name a stream that does not exist, as the run makes and deletes it; '${stream}' does`)
    }
    const own = new OwnStream(client, stream)
    try {
      await own.#becomeActive()
    } catch (error) {
      await own[Symbol.asyncDispose]()
      throw error
    }
    return own
  }

  get shards(): readonly OwnShard[] {
    return this.#shards
  }

  async #becomeActive(): Promise<void> {
    while ((await statusOf(this.client, this.name)) !== 'ACTIVE') await delay(POLL_MS)
    const shards: OwnShard[] = []
    let from: ListShardsCommandInput | undefined = { StreamName: this.name }
    while (from !== undefined) {
      const { Shards = [], NextToken }: ListShardsCommandOutput = await this.client.send(new ListShardsCommand(from))
      for (const { ShardId, HashKeyRange: range } of Shards) {
        shards.push({
          shardId: ShardId!,
          range: { start: BigInt(range!.StartingHashKey!), end: BigInt(range!.EndingHashKey!) },
        })
      }
      from = NextToken === undefined ? undefined : { NextToken }
    }
    this.#shards = shards
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, this.#onSignal)
    await this.#delete()
    this.client.destroy()
  }

  /** Resolves when it is gone. */
  async #delete(): Promise<void> {
    await this.client.send(new DeleteStreamCommand({ StreamName: this.name, EnforceConsumerDeletion: true }))
    while ((await statusOf(this.client, this.name)) !== undefined) await delay(POLL_MS)
  }
}

/** Undefined: there is none. */
async function statusOf(client: KinesisClient, stream: string): Promise<string | undefined> {
  try {
    const { StreamDescriptionSummary: summary } = await client.send(new DescribeStreamSummaryCommand({ StreamName: stream }))
    return summary!.StreamStatus
  } catch (error) {
    if ((error as Error).name === 'ResourceNotFoundException') return undefined
    throw error
  }
}
