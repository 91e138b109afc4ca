import { LIST_SHARDS_TOKEN_LIFETIME_MS } from '@shardwise/core/service-limits'
import type { Account } from './account.js'
import { invalidArgument, KinesisModelError } from './kinesis-error.js'

type Listing = 'shards' | 'streams' | 'consumers'

/** Where the next page of a listing starts: after the item named `after`. `context` is what else the listing must remember. */
export interface PageStart {
  readonly after: string
  readonly context: readonly (string | number)[]
}

export function sealPageToken(account: Account, listing: Listing, start: PageStart): string {
  return account.options.tokens.seal([listing, account.wallTime, start.after, ...start.context])
}

/** Throws InvalidArgumentException for what is no token of this listing, ExpiredNextTokenException 300 seconds after it was given. */
export function openPageToken(account: Account, listing: Listing, token: string): PageStart {
  const [kind, givenAt, after, ...context] = account.options.tokens.open(token) ?? []
  if (kind !== listing || typeof givenAt !== 'number' || typeof after !== 'string') throw invalidArgument('Invalid NextToken.')
  if (account.wallTime - givenAt > LIST_SHARDS_TOKEN_LIFETIME_MS) {
    throw new KinesisModelError(
      'ExpiredNextTokenException',
      `NextToken expired: it was given more than ${LIST_SHARDS_TOKEN_LIFETIME_MS} milliseconds ago.`,
    )
  }
  return { after, context }
}
