import type { StreamReference } from '@shardwise/core/kinesis-port'
import { STREAM } from './field-rules.js'
import { inUse } from './kinesis-error.js'
import { type Operation, operation } from './operation.js'

/** Only an ACTIVE stream is deleted. Until that is done it can still be read, but takes no records. */
export const deleteStream: Operation = operation<StreamReference & { readonly EnforceConsumerDeletion?: boolean }>(
  { ...STREAM, EnforceConsumerDeletion: { type: 'boolean' } },
  (account, input) => {
    const stream = account.activeStream(input)
    if (stream.consumers.size > 0 && input.EnforceConsumerDeletion !== true) {
      throw inUse(
        `Stream ${stream.name} under account ${account.accountId} has registered consumers. Deregister them first, or set ` +
          'EnforceConsumerDeletion.',
      )
    }
    stream.consumers.deleteAll(account.now + account.options.transitionMs.delete)
    stream.state = { status: 'DELETING', until: account.now + account.options.transitionMs.delete }
    return {}
  },
)
