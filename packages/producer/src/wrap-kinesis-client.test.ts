import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  CreateStreamCommand,
  InvalidArgumentException,
  Kinesis,
  KinesisClient,
  type KinesisClientConfig,
  KinesisServiceException,
  ListStreamsCommand,
  ProvisionedThroughputExceededException,
  PutRecordCommand,
  type PutRecordCommandInput,
  type PutRecordCommandOutput,
  PutRecordsCommand,
  type PutRecordsCommandOutput,
  paginateListStreams,
  ResourceNotFoundException,
  waitUntilStreamExists,
} from '@aws-sdk/client-kinesis'
import { type LocalServices, type ObservedCall, startLocal } from '@shardwise/local'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type WrapOptions, wrapKinesisClient } from './index.js'

const StreamName = 'flights'
const StreamARN = `arn:aws:kinesis:us-east-1:000000000000:stream/${StreamName}`
const Data = Buffer.from('hello')
const put = (PartitionKey: string, more: Partial<PutRecordCommandInput> = {}): PutRecordCommand =>
  new PutRecordCommand({ StreamName, PartitionKey, Data, ...more })
const entries = (...keys: string[]) => keys.map((PartitionKey) => ({ PartitionKey, Data: Buffer.from(PartitionKey) }))

let local: LocalServices
let clients: KinesisClient[]
let rejections: unknown[]
const onRejection = (reason: unknown): void => void rejections.push(reason)

beforeEach(async () => {
  rejections = []
  clients = []
  process.on('unhandledRejection', onRejection)
  local = await startLocal({ transitionMs: { create: 0, update: 0 }, dynamodb: false })
  local.model.call('CreateStream', { StreamName, ShardCount: 2 })
})

afterEach(async () => {
  for (const client of clients) client.destroy()
  await local.stop()
  process.off('unhandledRejection', onRejection)
  expect(rejections).toEqual([])
})

function plain(config: KinesisClientConfig = {}): Kinesis {
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b' }
  const client = new Kinesis({ endpoint: local.kinesisEndpoint, region: 'us-east-1', credentials, maxAttempts: 1, ...config })
  clients.push(client)
  return client
}

const wrap = (options: WrapOptions = {}) => wrapKinesisClient(plain(), { lingerMs: 10, ...options })

function observed(operation: string): ObservedCall[] {
  const calls: ObservedCall[] = []
  local.faults.on(operation, { observe: (call) => calls.push(call), times: Number.POSITIVE_INFINITY })
  return calls
}

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.fail('should have been rejected'),
    (error: unknown) => error,
  )

/** The same with the kind of each value in its place: what two outputs of the same call have in common. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shape)
  if (typeof value !== 'object' || value === null) return typeof value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shape(inner)]))
}

function stored(): string[] {
  return ['shardId-000000000000', 'shardId-000000000001'].flatMap((ShardId) => {
    const { ShardIterator } = local.model.call('GetShardIterator', {
      StreamName,
      ShardId,
      ShardIteratorType: 'TRIM_HORIZON',
    }) as {
      ShardIterator: string
    }
    const { Records } = local.model.call('GetRecords', { ShardIterator }) as { Records: { Data: Uint8Array }[] }
    return Records.map((record) => Buffer.from(record.Data).toString())
  })
}

describe('outputs have the shape of the unwrapped client', () => {
  const calls: Record<string, (client: Kinesis) => Promise<unknown>> = {
    PutRecord: (client) => client.send(put('k')),
    'PutRecord by ARN': (client) => client.send(new PutRecordCommand({ StreamARN, PartitionKey: 'k', Data })),
    'PutRecord with an explicit hash key': (client) => client.send(put('k', { ExplicitHashKey: '0' })),
    'PutRecord with text': (client) => client.send(put('k', { Data: 'héllo' as unknown as Uint8Array })),
    PutRecords: (client) => client.send(new PutRecordsCommand({ StreamName, Records: entries('a', 'b', 'c') })),
    putRecord: (client) => client.putRecord({ StreamName, PartitionKey: 'k', Data }),
    putRecords: (client) => client.putRecords({ StreamName, Records: entries('a', 'b') }),
    'putRecord with options': (client) =>
      client.putRecord(
        { StreamName, PartitionKey: 'k', Data },
        { abortSignal: new AbortController().signal, requestTimeout: 5000 },
      ),
    'putRecords, callback': (client) =>
      new Promise((resolve, reject) =>
        client.putRecords({ StreamName, Records: entries('a') }, (error: unknown, output?: unknown) =>
          error ? reject(error) : resolve(output),
        ),
      ),
    'putRecord, options and callback': (client) =>
      new Promise((resolve, reject) =>
        client.putRecord({ StreamName, PartitionKey: 'k', Data }, { requestTimeout: 5000 }, (error: unknown, output?: unknown) =>
          error ? reject(error) : resolve(output),
        ),
      ),
  }
  for (const encrypted of [false, true]) {
    test.each(Object.entries(calls))(`%s${encrypted ? ', encrypted' : ''}`, async (_, call) => {
      if (encrypted) local.model.call('StartStreamEncryption', { StreamName, EncryptionType: 'KMS', KeyId: 'alias/aws/kinesis' })
      const [real, ours] = [await call(plain()), await call(wrap())]
      expect(shape(ours)).toEqual(shape(real))
      expect((ours as PutRecordCommandOutput).$metadata).toMatchObject({ httpStatusCode: 200, attempts: 1 })
    })
  }

  test('with aggregation, records of one aggregate share the sequence number and the request id', async () => {
    const client = wrap({ aggregation: 'shard' })
    const outputs = await Promise.all([0, 1, 2].map(() => client.send(put('same'))))
    expect(new Set(outputs.map(({ SequenceNumber }) => SequenceNumber)).size).toBe(1)
    expect(new Set(outputs.map(({ $metadata }) => $metadata.requestId)).size).toBe(1)
    expect(shape(outputs[0])).toEqual(shape(await plain().send(put('same'))))
    expect(stored()).toHaveLength(2)
  })
})

test('no trace context makes an envelope that nobody asked for, and none of ids and codecs is an option', async () => {
  const injected: object[] = []
  const telemetry = {
    inject(carrier: Record<string, string>) {
      carrier.traceparent = '00-1-2-01'
      injected.push(carrier)
    },
  }
  await wrap({ telemetry }).send(put('k'))
  expect([stored(), injected.length]).toEqual([['hello'], 0])
  await wrap({ telemetry, aggregation: 'shard' }).send(put('k'))
  expect([stored()[1]?.includes('traceparent'), injected.length]).toEqual([true, 1])
  for (const option of ['codec', 'recordIds']) {
    expect(() => wrap({ [option]: true } as WrapOptions)).toThrow(/must be left out: the client and its commands decide it/)
  }
})

describe('errors are those of the unwrapped client', () => {
  const calls: Record<string, (client: Kinesis) => Promise<unknown>> = {
    'a missing stream': (client) => client.send(put('k', { StreamName: 'nowhere' })),
    'a missing stream, several records': (client) => client.putRecords({ StreamName: 'nowhere', Records: entries('a', 'b') }),
    'no stream': (client) => client.putRecord({ PartitionKey: 'k', Data }),
    'two streams': (client) =>
      client.send(new PutRecordCommand({ StreamName, StreamARN: `${StreamARN}s`, PartitionKey: 'k', Data })),
    'a name that breaks the rule': (client) => client.send(put('k', { StreamName: 'a b' })),
    'no partition key': (client) => client.putRecord({ StreamName, Data, PartitionKey: undefined }),
    'an empty partition key': (client) => client.send(put('')),
    'no data': (client) => client.send(put('k', { Data: undefined })),
    'a bad hash key': (client) => client.send(put('k', { ExplicitHashKey: '-1' })),
    'a record too large': (client) => client.send(put('k', { Data: Buffer.alloc(1024 * 1024) })),
    'one of them too large': (client) =>
      client.putRecords({ StreamName, Records: [...entries('a'), { PartitionKey: 'b', Data: Buffer.alloc(1024 * 1024) }] }),
    'no records': (client) => client.putRecords({ StreamName, Records: [] }),
    'too many records': (client) => client.putRecords({ StreamName, Records: entries(...'x'.repeat(501)) }),
    'a dry run': (client) => client.send(put('k', { DryRun: true })),
    'a bad number for ordering': (client) => client.send(put('k', { SequenceNumberForOrdering: '7' })),
  }
  test.each(Object.entries(calls))('%s', async (_, call) => {
    const real = (await failure(call(plain()))) as KinesisServiceException
    const ours = (await failure(call(wrap()))) as KinesisServiceException
    expect(ours.constructor).toBe(real.constructor)
    expect([ours.name, ours.message, ours.$fault]).toEqual([real.name, real.message, real.$fault])
    expect(shape(ours.$metadata)).toMatchObject({ httpStatusCode: 'number', requestId: 'string' })
    expect(stored()).toEqual([])
  })

  test('by callback', async () => {
    const error = await new Promise((resolve) => wrap().putRecord({ StreamName: 'nowhere', PartitionKey: 'k', Data }, resolve))
    expect(error).toBeInstanceOf(ResourceNotFoundException)
  })

  test('what a callback throws is ignored, as the SDK does', async () => {
    const client = wrap()
    const called = new Promise<void>((resolve) =>
      client.send(put('k'), () => {
        resolve()
        throw new Error('in the callback')
      }),
    )
    await called
    await client.shardwise.close()
  })

  test('throttled until the time to live', async () => {
    const reject = { rejectEntries: { when: () => true }, times: Number.POSITIVE_INFINITY }
    local.faults.on('PutRecords', reject)
    const error = await failure(wrap({ recordTtlMs: 1000, retry: { baseMs: 10 } }).send(put('k')))
    expect(error).toBeInstanceOf(ProvisionedThroughputExceededException)
    expect(error).toMatchObject({ name: 'ProvisionedThroughputExceededException', $fault: 'client', cause: { written: 'no' } })
    expect((error as KinesisServiceException).$metadata.attempts).toBeGreaterThan(1)
  })

  test('internal failures until the time to live', async () => {
    local.faults.on('PutRecords', { fail: { code: 'InternalFailure' }, times: Number.POSITIVE_INFINITY })
    const client = wrap({ recordTtlMs: 300, retry: { baseMs: 10 } })
    for (const call of [client.send(put('k')), client.putRecords({ StreamName, Records: entries('a', 'b') })]) {
      const error = await failure(call)
      expect(error).toBeInstanceOf(KinesisServiceException)
      expect(error).toMatchObject({ name: 'InternalFailure', $fault: 'server', $metadata: { httpStatusCode: 500 } })
    }
  })

  test('refused permission', async () => {
    local.faults.on('PutRecords', { fail: { code: 'AccessDeniedException', message: 'no kinesis:PutRecords' } })
    expect(await failure(wrap().send(put('k')))).toMatchObject({
      name: 'AccessDeniedException',
      message: 'no kinesis:PutRecords',
    })
  })

  test('a connection that breaks', async () => {
    local.faults.on('PutRecords', { drop: 'before-work', times: Number.POSITIVE_INFINITY })
    const client = wrap({ recordTtlMs: 300, retry: { baseMs: 10 } })
    const real = (await failure(plain().putRecords({ StreamName, Records: entries('a') }))) as Error
    for (const call of [client.send(put('k')), client.putRecords({ StreamName, Records: entries('a', 'b') })]) {
      expect(await failure(call)).toMatchObject({ name: real.name, message: real.message })
    }
  })

  test('no region and no credentials', async () => {
    const missing = (what: string) => () => Promise.reject(new Error(what))
    const without = { region: missing('Region is missing'), credentials: missing('none there') }
    const { region, credentials } = without
    expect(await failure(wrapKinesisClient(plain({ credentials })).send(put('k')))).toMatchObject({ message: 'none there' })
    expect(await failure(wrapKinesisClient(plain({ region })).send(put('k')))).toMatchObject({ option: 'region' })
  })

  test('with order kept, a record that breaks a rule is refused without leaving the queue', async () => {
    const client = wrap({ ordering: 'perShard' })
    const error = await failure(client.send(put('k', { ExplicitHashKey: '-1' })))
    expect(error).toBeInstanceOf(InvalidArgumentException)
    const large = { PartitionKey: 'b', Data: Buffer.alloc(1024 * 1024) }
    expect(await failure(client.send(put('k', large)))).toBeInstanceOf(InvalidArgumentException)
    const { Records, FailedRecordCount } = await client.putRecords({ StreamName, Records: [...entries('a'), large] })
    expect(FailedRecordCount).toBe(1)
    expect(Records?.[1]).toMatchObject({ ErrorCode: 'InvalidArgumentException' })
  })
})

describe('PutRecords', () => {
  test('resolves for single records that fail, in the order of the request', async () => {
    const when = ({ PartitionKey }: { PartitionKey?: string }): boolean => PartitionKey === 'b' || PartitionKey === 'd'
    const rule = (code: 'InternalFailure' | 'ProvisionedThroughputExceededException', key: string) =>
      local.faults.on('PutRecords', {
        rejectEntries: { when: (entry) => when(entry) && entry.PartitionKey === key, code },
        times: Number.POSITIVE_INFINITY,
      })
    rule('ProvisionedThroughputExceededException', 'b')
    rule('InternalFailure', 'd')
    const client = wrap({ recordTtlMs: 300, retry: { baseMs: 10 } })
    const real = await plain().putRecords({ StreamName, Records: entries('a', 'b', 'c', 'd') })
    const ours = await client.putRecords({ StreamName, Records: entries('a', 'b', 'c', 'd') })
    expect(ours.FailedRecordCount).toBe(2)
    expect(shape(ours.Records)).toEqual(shape(real.Records))
    expect(ours.Records?.map(({ ErrorCode }) => ErrorCode)).toEqual(real.Records?.map(({ ErrorCode }) => ErrorCode))
  })

  test('resolves when all of them fail one by one', async () => {
    local.faults.on('PutRecords', { rejectEntries: { when: () => true }, times: Number.POSITIVE_INFINITY })
    const client = wrap({ recordTtlMs: 200, retry: { baseMs: 10 } })
    const { FailedRecordCount, $metadata } = await client.putRecords({ StreamName, Records: entries('a', 'b') })
    expect([FailedRecordCount, $metadata.httpStatusCode]).toEqual([2, 200])
  })

  test('hides what passes', async () => {
    local.faults.on('PutRecords', { rejectEntries: { when: ({ PartitionKey }) => PartitionKey === 'b' } })
    const output: PutRecordsCommandOutput = await wrap({ retry: { baseMs: 1 } }).putRecords({
      StreamName,
      Records: entries('a', 'b'),
    })
    expect(output.FailedRecordCount).toBe(0)
    expect(output.$metadata.attempts).toBe(2)
    expect(output.$metadata).not.toHaveProperty('totalRetryDelay')
    expect(stored().sort()).toEqual(['a', 'b'])
  })
})

describe('abort and timeout', () => {
  test('aborted before: nothing is put', async () => {
    const reason = new Error('stop')
    const error = await failure(wrap().send(put('k'), { abortSignal: AbortSignal.abort(reason) }))
    expect(error).toMatchObject({ name: 'AbortError', message: 'Request aborted', cause: reason })
    expect(stored()).toEqual([])
  })

  test('aborted on the way: rejects at once, and the record goes on', async () => {
    const controller = new AbortController()
    const client = wrap({ lingerMs: 1000 })
    const error = failure(client.send(put('k'), { abortSignal: controller.signal }))
    controller.abort()
    expect(await error).toMatchObject({ name: 'AbortError' })
    await client.shardwise.flush()
    expect(stored()).toEqual(['hello'])
  })

  test('requestTimeout', async () => {
    let release = (): void => {}
    const hold = new Promise<void>((resolve) => {
      release = resolve
    })
    local.faults.on('PutRecords', { hold })
    const client = wrap()
    expect(await failure(client.send(put('k'), { requestTimeout: 50 }))).toMatchObject({ name: 'TimeoutError' })
    release()
    await client.shardwise.close()
  })
})

describe('collection', () => {
  test('1000 puts at once travel in few requests', async () => {
    const [many, single] = [observed('PutRecords'), observed('PutRecord')]
    const client = wrap({ lingerMs: 50 })
    const outputs = await Promise.all(Array.from({ length: 1000 }, (_, i) => client.send(put(`key-${i}`))))
    expect(new Set(outputs.map(({ SequenceNumber }) => SequenceNumber)).size).toBe(1000)
    expect(single).toHaveLength(0)
    expect(many.length).toBeLessThanOrEqual(6)
    expect(outputs.every(({ $metadata }) => typeof $metadata.requestId === 'string')).toBe(true)
  })

  test('the buffer may be used again as soon as send has returned', async () => {
    const client = wrap()
    const buffer = Buffer.from('first')
    const first = client.send(put('k', { Data: buffer }))
    buffer.write('other')
    await first
    expect(stored()).toEqual(['first'])
  })

  test('order is kept where it is asked for, numbers for ordering included', async () => {
    const [many, single] = [observed('PutRecords'), observed('PutRecord')]
    const client = wrap({ ordering: 'perShard' })
    let { SequenceNumber } = await client.send(put('k', { Data: Buffer.from('0') }))
    for (const text of ['1', '2', '3']) {
      const output = await client.send(put('k', { Data: Buffer.from(text), SequenceNumberForOrdering: SequenceNumber }))
      expect(BigInt(output.SequenceNumber!)).toBeGreaterThan(BigInt(SequenceNumber!))
      SequenceNumber = output.SequenceNumber
    }
    expect(stored()).toEqual(['0', '1', '2', '3'])
    expect([many.length, single.length]).toEqual([4, 0])
  })

  const straight: Record<string, (client: Kinesis) => Promise<unknown>> = {
    'a number for ordering': async (client) => {
      const { SequenceNumber } = await client.send(put('k'))
      return client.send(put('k', { SequenceNumberForOrdering: SequenceNumber }))
    },
    'middleware of the command': (client) => {
      const command = put('k')
      command.middlewareStack.add((next) => (args) => next(args), { step: 'build', name: 'mine' })
      return client.send(command)
    },
    'other send options': (client) =>
      client.send(put('k'), { metricsRecorder: undefined, sessionRequestTimeout: 5 } as { requestTimeout?: number }),
  }
  test.each(Object.entries(straight))('%s: sent by the client itself', async (_, call) => {
    const single = observed('PutRecord')
    await call(wrap())
    expect(single).toHaveLength(1)
  })
})

describe('the wrapped client stands in for the client', () => {
  test('instanceof, properties, keys and spreading', () => {
    const client = plain()
    const wrapped = wrapKinesisClient(client)
    expect(wrapped).toBeInstanceOf(KinesisClient)
    expect(wrapped).toBeInstanceOf(Kinesis)
    expect(wrapped.constructor).toBe(Kinesis)
    expect(wrapped.config).toBe(client.config)
    expect(wrapped.middlewareStack).toBe(client.middlewareStack)
    expect({ ...wrapped }).toEqual({ ...client })
    expect(wrapped.listStreams).toBe(wrapped.listStreams)
    expect('shardwise' in wrapped).toBe(true)
    Object.assign(wrapped, { label: 1 })
    expect(client).toHaveProperty('label', 1)
  })

  test('one producer for all streams: one buffer, and each output has the facts of its own request', async () => {
    local.model.call('CreateStream', { StreamName: 'gates', ShardCount: 2 })
    const client = wrap({ maxBufferedRecords: 2 })
    const { shardwise } = client
    const failed: string[] = []
    shardwise.events.on('record-failed', ({ stream }) => void failed.push(stream))
    const puts = ['flights', 'gates', 'flights', 'nowhere', 'gates'].map((name) => client.send(put('k', { StreamName: name })))
    expect([shardwise.stats(), shardwise.stats('gates'), shardwise.stats('nowhere')]).toMatchObject([
      { bufferedRecords: 2, waitingForRoom: 3 },
      { bufferedRecords: 1, waitingForRoom: 1 },
      { bufferedRecords: 0, waitingForRoom: 1 },
    ])
    const settled = Promise.allSettled(puts)
    await shardwise.flush()
    const [first, other, second, missing, last] = await settled
    const requestOf = (one: typeof first): unknown => (one?.status === 'fulfilled' ? one.value.$metadata.requestId : one?.reason)
    expect(missing).toMatchObject({ status: 'rejected', reason: { name: 'ResourceNotFoundException' } })
    expect(new Set([first, other, second, last].map(requestOf)).size).toBe(4)
    expect(failed).toEqual(['nowhere'])
  })

  test('a subclass keeps its private fields', async () => {
    class Mine extends KinesisClient {
      #count = 0
      get count(): number {
        return this.#count
      }
      increment(): number {
        return ++this.#count
      }
    }
    const wrapped = wrapKinesisClient(new Mine({ region: 'us-east-1' }))
    expect([wrapped.increment(), wrapped.count]).toEqual([1, 1])
  })

  test('other commands, paginators and waiters', async () => {
    const client = wrap()
    await client.send(new CreateStreamCommand({ StreamName: 'second', ShardCount: 1 }))
    expect((await client.send(new ListStreamsCommand({}))).StreamNames).toEqual([StreamName, 'second'])
    const listed = await new Promise((resolve) => client.listStreams({}, (_, output) => resolve(output?.StreamNames)))
    expect(listed).toEqual([StreamName, 'second'])
    const names: string[] = []
    for await (const page of paginateListStreams({ client, pageSize: 1 }, {})) names.push(...(page.StreamNames ?? []))
    for await (const page of client.paginateListStreams()) names.push(...(page.StreamNames ?? []))
    expect(names).toEqual([StreamName, 'second', StreamName, 'second'])
    const waited = await waitUntilStreamExists({ client, maxWaitTime: 30 }, { StreamName })
    expect(waited.state).toBe('SUCCESS')
  })

  test('send may be replaced for a while', async () => {
    const client = wrap()
    const { send } = client
    Object.assign(client, { send: () => Promise.resolve('mine') })
    expect(await client.putRecord({ StreamName, PartitionKey: 'k', Data })).toBe('mine')
    Reflect.deleteProperty(client, 'send')
    expect(client.send).toBe(send)
  })

  test('destroy lets what was accepted settle', async () => {
    const client = wrap({ lingerMs: 60_000, recordTtlMs: 60_000 })
    const accepted = client.send(put('k'))
    client.destroy()
    expect(await accepted).toHaveProperty('SequenceNumber')
  })

  test('close settles what was put and refuses the rest', async () => {
    const client = wrap({ lingerMs: 60_000, recordTtlMs: 60_000 })
    const accepted = client.send(put('k'))
    await client.shardwise.close()
    expect(await accepted).toHaveProperty('SequenceNumber')
    expect(await failure(client.send(put('k')))).toMatchObject({ name: 'ProducerClosedError' })
    expect(await client.listStreams()).toMatchObject({ StreamNames: [StreamName] })
    await client.shardwise.close()
  })

  test.each([
    [{ stream: 'x' }, 'stream'],
    [{ region: 'x' }, 'region'],
    [{ lingerMs: -1 }, 'lingerMs'],
    [{ linger: 1 }, 'linger'],
    [{ wire: { writes: 'cbor' } }, 'wire.writes'],
  ])('refuses %j', (options, option) => {
    expect(() => wrapKinesisClient(plain(), options as WrapOptions)).toThrow(expect.objectContaining({ option }))
  })

  test('refuses what is no client, or is wrapped', () => {
    expect(() => wrapKinesisClient({} as KinesisClient)).toThrow('Option `client` must be a KinesisClient')
    expect(() => wrapKinesisClient(wrap())).toThrow('Option `client` must be a client that is not wrapped yet')
  })

  test('the process ends by itself', async () => {
    const script = `import { KinesisClient, PutRecordCommand } from '@aws-sdk/client-kinesis'
      import { wrapKinesisClient } from '@shardwise/producer'
      const credentials = { accessKeyId: 'a', secretAccessKey: 'b' }
      const client = wrapKinesisClient(new KinesisClient({ endpoint: '${local.kinesisEndpoint}', region: 'us-east-1', credentials }))
      void client.send(new PutRecordCommand({ StreamName: '${StreamName}', PartitionKey: 'k', Data: Buffer.from('late') }))`
    const args = ['--import', 'tsx', '-C', 'shardwise-source', '--input-type=module', '-e', script]
    const child = spawn(process.execPath, args, { cwd: new URL('..', import.meta.url), stdio: ['ignore', 'ignore', 'inherit'] })
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(stored()).toEqual(['late'])
  })
})
