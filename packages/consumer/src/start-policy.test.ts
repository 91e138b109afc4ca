import { classifyFailure } from '@shardwise/core/service-error'
import { describe, expect, it } from 'vitest'
import { IncompleteShardListError } from './shards/shard-discovery.js'
import { afterStartFailure } from './start-policy.js'

const named = (name: string): Error => Object.assign(new Error('said the service'), { name })

describe('afterStartFailure', () => {
  it.each<{ error: Error; attempts: number }>([
    { error: named('ResourceNotFoundException'), attempts: 1 },
    { error: named('AccessDeniedException'), attempts: 1 },
    { error: named('UnrecognizedClientException'), attempts: 1 },
    { error: named('CredentialsProviderError'), attempts: 1 },
    { error: named('ValidationException'), attempts: 1 },
    { error: new TypeError('a bug'), attempts: 1 },
    { error: Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }), attempts: 3 },
    { error: Object.assign(new Error('no such host'), { code: 'ENOTFOUND' }), attempts: 3 },
    { error: named('TimeoutError'), attempts: 3 },
    { error: named('ThrottlingException'), attempts: 20 },
    { error: named('LimitExceededException'), attempts: 20 },
    { error: named('InternalServerError'), attempts: 20 },
    { error: new IncompleteShardListError('a hole'), attempts: 20 },
  ])('tries $error $attempts times', ({ error, attempts }) => {
    const failure = classifyFailure(error)
    let attempt = 1
    while (attempt < 100 && afterStartFailure(failure, attempt, () => 0).kind === 'retry') attempt++
    expect(attempt).toBe(attempts)
  })
})
