import { isSameCreation } from '../shards/creation-time.js'

/** What a lease key names a stream by where a table holds several (KCL's StreamIdentifier.java, multi-stream). */
export interface StreamIdentifier {
  readonly accountId: string
  readonly name: string
  /** Tells streams apart that had this name one after the other. KCL leaves its meaning to the application. */
  readonly epoch: number
}

/** `account:stream:epoch`, as KCL's serialize. */
export function formatStreamId({ accountId, name, epoch }: StreamIdentifier): string {
  return `${accountId}:${name}:${epoch}`
}

/** KCL's STREAM_IDENTIFIER_PATTERN; undefined for what KCL would throw at. */
export function parseStreamId(text: string): StreamIdentifier | undefined {
  const [, accountId, name, digits] = /^([0-9]+):([^:]+):([0-9]+)$/.exec(text) ?? []
  const epoch = Number(digits)
  return accountId !== undefined && name !== undefined && epoch > 0 && Number.isSafeInteger(epoch)
    ? { accountId, name, epoch }
    : undefined
}

export interface StreamToIdentify {
  readonly accountId: string
  readonly name: string
  /** Epoch milliseconds. */
  readonly createdAt: number
  /** As told by the user, who knows what the table's leases were made with. */
  readonly creationEpoch: number | undefined
}

export type Identification =
  /** `former`: the table also has leases of streams that had this name before. */
  | { readonly kind: 'known'; readonly streamId: string; readonly former: boolean }
  /** The table has leases of a stream of this name that may be this one or not. */
  | { readonly kind: 'ambiguous'; readonly epoch: number }

/** The service's first day (November 2013): no stream is older. */
const FIRST_STREAM_SECONDS = 1_383_264_000

/**
 * The identifier of a stream in a table with these. Its epoch is the second of the stream's creation, as most applications of KCL have it; where
 * the table already has the same moment in milliseconds, as others have it, that stays. Any other epoch that can be an earlier moment is
 * of a former stream of this name. What can be neither (KCL takes any number) only the user can tell.
 */
export function identify(stream: StreamToIdentify, inTable: Iterable<string>): Identification {
  const { accountId, name, createdAt, creationEpoch } = stream
  const seconds = Math.floor(createdAt / 1_000)
  const known = (epoch: number, former: boolean): Identification => {
    return { kind: 'known', streamId: formatStreamId({ accountId, name, epoch }), former }
  }
  const epochs = new Set<number>()
  for (const text of inTable) {
    const other = parseStreamId(text)
    if (other?.accountId === accountId && other.name === name) epochs.add(other.epoch)
  }
  if (creationEpoch !== undefined)
    return known(
      creationEpoch,
      [...epochs].some((epoch) => epoch !== creationEpoch),
    )
  const isOwn = (epoch: number): boolean => isSameCreation(secondsOf(epoch) * 1_000, seconds * 1_000)
  const own = epochs.has(seconds) ? seconds : [...epochs].find(isOwn)
  const others = [...epochs].filter((epoch) => !isOwn(epoch))
  const unclear = others.find((epoch) => secondsOf(epoch) < FIRST_STREAM_SECONDS || secondsOf(epoch) > seconds)
  if (own === undefined && unclear !== undefined) return { kind: 'ambiguous', epoch: unclear }
  return known(own ?? seconds, others.length > 0)
}

/** An epoch is in milliseconds when it would otherwise be some 40,000 years off. */
function secondsOf(epoch: number): number {
  return epoch >= FIRST_STREAM_SECONDS * 1_000 ? Math.floor(epoch / 1_000) : epoch
}
