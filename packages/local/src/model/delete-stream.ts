import type { StreamReference } from '@shardwise/core/kinesis-port'
import { STREAM } from './field-rules.js'
import { type Operation, operation } from './operation.js'

/** Only an ACTIVE stream is deleted. Until that is done it can still be read, but takes no records. */
export const deleteStream: Operation = operation<StreamReference & { readonly EnforceConsumerDeletion?: boolean }>(
  { ...STREAM, EnforceConsumerDeletion: { type: 'boolean' } },
  (account, input) => {
    const stream = account.activeStream(input)
    stream.state = { status: 'DELETING', until: account.now + account.options.transitionMs.delete }
    return {}
  },
)
