import type { Writable } from 'node:stream'
import type { PutPlace } from './http-place.js'
import { peer } from './peers.js'
import { IN_FLIGHT, MAX_BATCH } from './sdk-peer.js'

/** Of version 2 of the SDK, as far as the writable calls it. */
interface KinesisV2 {
  putRecords(input: Input, done: (error: Error | null, output: { Records: { SequenceNumber?: string }[] }) => void): void
}

interface Input {
  readonly Records: readonly { readonly Data: string }[]
}

export interface WritableHooks {
  keyOf(value: object): string
  /** JSON of a value that the service has. */
  accepted(data: string): void
  /** It has given up a batch. */
  failed(error: Error): void
}

/**
 * `aws-kinesis-writable` as its README says, but with batches of 500 in place of ten. It tells nobody what was acknowledged and has no
 * backpressure: both are taken from the client that it is given, the one that it would make itself.
 */
export class KinesisWritable {
  readonly #stream: Writable & { flush(): void }
  #inFlight = 0
  #answered: () => void = () => {}

  /** `patienceS`: so long a batch waits to be full. */
  constructor({ connection, stream: streamName }: PutPlace, patienceS: number, { keyOf, accepted, failed }: WritableHooks) {
    const KinesisStream = peer<new (options: object) => Writable & { flush(): void }>('aws-kinesis-writable')
    const { Kinesis } = peer<{ readonly Kinesis: new (options: object) => KinesisV2 }>('aws-sdk')
    const client = new Kinesis({ region: connection.region, endpoint: connection.endpoint, ...connection.credentials })
    const kinesis: KinesisV2 = {
      putRecords: (input, done) => {
        this.#inFlight++
        client.putRecords(input, (error, output) => {
          this.#inFlight--
          if (error === null) {
            for (const [i, { SequenceNumber }] of output.Records.entries()) {
              if (SequenceNumber !== undefined) accepted(input.Records[i]!.Data)
            }
          }
          done(error, output)
          this.#answered()
        })
      },
    }
    this.#stream = new KinesisStream({
      ...{ streamName, objectMode: true, partitionKey: keyOf, kinesis },
      // All of it: what one instance is given becomes the default of those after it.
      buffer: { length: MAX_BATCH, timeout: patienceS },
    })
    this.#stream.on('error', failed)
  }

  /** A promise where too much is under way: what comes next is to wait for it. */
  write(value: object): Promise<void> | undefined {
    this.#stream.write(value)
    return this.#inFlight < IN_FLIGHT ? undefined : this.#below(IN_FLIGHT)
  }

  /** Sends what waits, and resolves when nothing is under way. */
  flush(): Promise<void> {
    this.#stream.flush()
    return this.#below(1)
  }

  close(): void {
    this.#stream.destroy()
  }

  async #below(count: number): Promise<void> {
    while (this.#inFlight >= count) {
      await new Promise<void>((resolve) => {
        this.#answered = resolve
      })
    }
  }
}
