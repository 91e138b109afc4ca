import { InvalidOptionError, integerOption, refuseUnknownOptions, stringOption } from '@shardwise/core/options'
import { consumerArnOption } from '../retrieval-option.js'
import type { InitialPosition } from '../shards/shard-discovery.js'

/** A stream among several. Each default holds where the option is absent or undefined. */
export interface StreamOptions {
  /** Name or ARN. Required. */
  readonly stream: string
  /** As the consumer's, for this stream. Default: the consumer's. */
  readonly initialPosition?: InitialPosition | undefined
  /**
   * The creation epoch in this stream's lease keys, where the leases in the table were made by a KCL application that did not take the
   * stream's creation time for it (StreamIdentifier.java takes any number). Default: found by the creation time; 1 or more.
   */
  readonly creationEpoch?: number | undefined
  /** Of enhanced fan-out: the stream consumer that this stream is read by. Default: the one that `retrieval` names. */
  readonly consumerArn?: string | undefined
}

/** Checked and complete. */
export interface StreamSettings {
  /** As given: records, events and snapshots call the stream so. */
  readonly stream: string
  readonly name: string
  readonly initialPosition: InitialPosition
  readonly creationEpoch: number | undefined
  readonly consumerArn: string | undefined
}

/** https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html: StreamARN, and StreamName elsewhere there. */
const STREAM = /^([a-zA-Z0-9_.-]{1,128}|arn:aws[\w-]*:kinesis:[a-z0-9-]+:\d{12}:stream\/[a-zA-Z0-9_.-]{1,128})$/

/** One that was given by its name, or with options. Throws InvalidOptionError; `option`: what to call it there. */
export function checkStream(given: string | StreamOptions, option: string, fallback: InitialPosition): StreamSettings {
  if (typeof given !== 'object') return settingsOf(given, option, fallback)
  if (given === null) throw new InvalidOptionError(option, 'a name, an ARN or { stream, initialPosition }', given)
  refuseUnknownOptions(given, ['stream', 'initialPosition', 'creationEpoch', 'consumerArn'], option)
  const { stream, initialPosition, creationEpoch, consumerArn } = given
  const position = initialPosition === undefined ? fallback : checkInitialPosition(initialPosition, `${option}.initialPosition`)
  const epoch =
    creationEpoch === undefined ? undefined : integerOption(`${option}.creationEpoch`, creationEpoch, { min: 1, fallback: 1 })
  const settings = { ...settingsOf(stream, `${option}.stream`, position), creationEpoch: epoch }
  if (consumerArn === undefined) return settings
  return { ...settings, consumerArn: consumerArnOption(`${option}.consumerArn`, consumerArn, stream) }
}

/** No stream is there twice, under whatever name. */
export function checkDistinct(streams: readonly StreamSettings[], option: string): void {
  for (const [i, { stream, name }] of streams.entries()) {
    const same = streams.slice(0, i).find((other) => other.name === name && !areTwoArns(other.stream, stream))
    if (same !== undefined)
      throw new InvalidOptionError(option, 'streams that are not one and the same', `${same.stream}, ${stream}`)
  }
}

export function checkInitialPosition(given: InitialPosition | undefined, option: string): InitialPosition {
  if (given === undefined) return 'latest'
  if (given === 'latest' || given === 'trim-horizon') return given
  const at: unknown = typeof given === 'object' && given !== null ? given.at : undefined
  if (!(at instanceof Date) || Number.isNaN(at.getTime())) {
    throw new InvalidOptionError(option, "'latest', 'trim-horizon' or { at: Date }", given)
  }
  return { at: new Date(at) }
}

function settingsOf(given: string, option: string, initialPosition: InitialPosition): StreamSettings {
  const says = 'the name (1 to 128 of a-z, A-Z, 0-9, _ . -) or the ARN of a stream'
  const stream = stringOption(option, given, { pattern: STREAM, says })
  // arn:aws:kinesis:region:account:stream/name, or the name.
  const name = stream.slice(stream.indexOf('/') + 1)
  return { stream, name, initialPosition, creationEpoch: undefined, consumerArn: undefined }
}

/** Of streams of one name: the same name in two accounts. */
function areTwoArns(a: string, b: string): boolean {
  return a !== b && a.includes('/') && b.includes('/')
}
