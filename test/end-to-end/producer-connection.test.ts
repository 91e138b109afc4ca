import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { KinesisClient } from '@aws-sdk/client-kinesis'
import { connectKinesis } from '@shardwise/core/transport'
import { type LocalServices, startLocal } from '@shardwise/local'
import { DeliveryFailedError, fromKplProperties, Producer, type ProducerOptions, StreamUnusableError } from '@shardwise/producer'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { afterEach, expect, test } from 'vitest'
import { fullPort } from './full-port.js'
import { CREDENTIALS, REGION } from './local-account.js'

const open: (() => unknown)[] = []
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

async function service(options: Parameters<typeof startLocal>[0] = {}): Promise<LocalServices> {
  const local = await startLocal({ dynamodb: false, transitionMs: { create: 0 }, ...options })
  open.push(() => local.stop())
  local.model.call('CreateStream', { StreamName: 'flights', ShardCount: 1 })
  return local
}

function producerAt(endpoint: string, options: Partial<ProducerOptions> = {}): Producer {
  const producer = new Producer({
    stream: 'flights',
    endpoint,
    region: REGION,
    credentials: CREDENTIALS,
    lingerMs: 0,
    ...options,
  })
  open.push(() => producer.close())
  return producer
}

/** For `hold`. At the latest the test's end releases. */
function answersHeld(): { readonly promise: Promise<void>; release(): void } {
  let release = (): void => {}
  const promise = new Promise<void>((resolve) => {
    release = resolve
  })
  open.push(release)
  return { promise, release }
}

const record = { partitionKey: 'k', data: Buffer.from('delayed') }

test.each(['json', 'cbor'] as const)(
  'a service that checks signatures takes each request, and each read: %s',
  async (encoding) => {
    const local = await service({ credentials: CREDENTIALS })
    const wire = { reads: encoding, writes: encoding }
    const producer = producerAt(local.kinesisEndpoint, { wire })
    for (let i = 0; i < 3; i++) await producer.put({ partitionKey: `key ${i} \u{1f600}"`, data: Buffer.from(`data ${i}`) })
    expect(producer.stats()).toMatchObject({ requests: 3, requestsFailed: 0 })
    const { port, close } = connectKinesis({ endpoint: local.kinesisEndpoint, region: REGION, credentials: CREDENTIALS, wire })
    open.push(close)
    const { Shards } = await port.listShards({ StreamName: 'flights' })
    const from = { StreamName: 'flights', ShardId: Shards![0]!.ShardId!, ShardIteratorType: 'TRIM_HORIZON' } as const
    let { ShardIterator: iterator } = await port.getShardIterator(from)
    const read: string[] = []
    for (let i = 0; i < 3; i++) {
      const { Records = [], NextShardIterator } = await port.getRecords({ ShardIterator: iterator!, Limit: 1 })
      read.push(...Records.map(({ PartitionKey, Data }) => `${PartitionKey}: ${Buffer.from(Data!)}`))
      iterator = NextShardIterator
    }
    expect(read).toEqual([0, 1, 2].map((i) => `key ${i} \u{1f600}": data ${i}`))
  },
)

test('requestTimeoutMs: a request that is never answered counts as lost, and its record is sent again', async () => {
  const local = await service()
  const { promise } = answersHeld()
  const held = local.faults.on('PutRecords', { hold: promise, phase: 'before-work' })
  const producer = producerAt(local.kinesisEndpoint, { requestTimeoutMs: 1500 })
  const began = performance.now()
  expect(await producer.put(record)).toMatchObject({ attempts: 2 })
  expect(performance.now() - began).toBeGreaterThan(1495)
  expect(held.hits).toBe(1)
  expect(producer.stats()).toMatchObject({ requestsFailed: 1, possibleDuplicates: 1 })
})

test('requestTimeoutMs: when none is ever answered the record fails after recordTtlMs, and may have been written', async () => {
  const local = await service()
  const { promise } = answersHeld()
  local.faults.on('PutRecords', { hold: promise, phase: 'before-work', times: Number.POSITIVE_INFINITY })
  const producer = producerAt(local.kinesisEndpoint, { requestTimeoutMs: 300, recordTtlMs: 700, retry: { baseMs: 1, maxMs: 2 } })
  await producer.start()
  const began = performance.now()
  const error = await producer.put(record).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(DeliveryFailedError)
  expect(error).toMatchObject({ written: 'unknown', reason: 'expired' })
  expect(performance.now() - began).toBeGreaterThan(695)
  const { attempts } = error as DeliveryFailedError
  // Three, unless the machine gave this process no time.
  expect([1, 2, 3]).toContain(attempts)
})

test.runIf(process.platform === 'linux')(
  'connectTimeoutMs: where no connection comes about, the start fails and says so',
  async () => {
    const { port, free } = await fullPort()
    open.push(free)
    const producer = producerAt(`http://127.0.0.1:${port}`, { connectTimeoutMs: 200, recordTtlMs: 1000 })
    const error = await producer.start().catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(StreamUnusableError)
    expect((error as Error).message).toContain(
      'did not establish a connection with the server within the configured timeout of 200 ms',
    )
  },
)

/** Holds all answers to PutRecords. `arrival` tells when the next request has come. */
function requestsHeld(local: LocalServices): { arrival(): Promise<void>; release(): void } {
  const { promise, release } = answersHeld()
  const arrivals: (() => void)[] = []
  const when = (): boolean => {
    arrivals.shift()?.()
    return true
  }
  local.faults.on('PutRecords', { hold: promise, phase: 'before-work', times: Number.POSITIVE_INFINITY, when })
  return { release, arrival: () => new Promise((arrive) => arrivals.push(arrive)) }
}

test('all of maxRequestsInFlight are on their way at a time', async () => {
  const local = await service({ quotas: false })
  const { arrival, release } = requestsHeld(local)
  const producer = producerAt(local.kinesisEndpoint, { maxRequestsInFlight: 100 })
  const puts: Promise<unknown>[] = []
  for (let sent = 0; sent < 100; sent++) {
    const arrived = arrival()
    puts.push(producer.put(record))
    await arrived
  }
  expect(producer.stats().requestsInFlight).toBe(100)
  release()
  await Promise.all(puts)
})

test('and so they are in each of many streams: none waits for a connection within its time', async () => {
  const local = await service({ quotas: false })
  const streams = Array.from({ length: 60 }, (_, i) => `gates-${i}`)
  for (const StreamName of streams) local.model.call('CreateStream', { StreamName, ShardCount: 1 })
  const { arrival, release } = requestsHeld(local)
  const producer = producerAt(local.kinesisEndpoint, { maxRequestsInFlight: 1 })
  const arrived = Promise.all(streams.map(arrival))
  const puts = Promise.all(streams.map((stream) => producer.put({ ...record, stream })))
  await Promise.race([arrived, puts])
  expect(producer.stats().requestsInFlight).toBe(60)
  release()
  expect(await puts).toEqual(Array(60).fill(expect.objectContaining({ attempts: 1 })))
})

test('what VerifyCertificate=false asks for: a client with a request handler of its own', async () => {
  const local = await service({ tls: 'self-signed' })
  const { hostname, port } = new URL(local.kinesisEndpoint)
  const text = `KinesisEndpoint=${hostname}\nKinesisPort=${port}\nRegion=${REGION}\nVerifyCertificate=false`
  const { options, unmapped } = await fromKplProperties({ text })
  expect(unmapped.map(({ name }) => name)).toEqual(['VerifyCertificate'])

  const verifying = new Producer({ stream: 'flights', credentials: CREDENTIALS, ...options })
  open.push(() => verifying.close())
  await expect(verifying.start()).rejects.toThrow(StreamUnusableError)

  const { endpoint, region, ...rest } = options
  const httpsAgent = new Agent({ keepAlive: true, maxSockets: 64, rejectUnauthorized: false })
  const client = new KinesisClient({
    ...{ endpoint: endpoint!, region: region!, credentials: CREDENTIALS },
    requestHandler: new NodeHttpHandler({ httpsAgent }),
  })
  open.push(() => client.destroy())
  const producer = new Producer({ stream: 'flights', client, ...rest })
  open.push(() => producer.close())
  expect(await producer.put(record)).toMatchObject({ attempts: 1 })
})

test('over TLS, by name and by address: by a certificate that the process was told to trust', async () => {
  const local = await service({ tls: 'self-signed', credentials: CREDENTIALS })
  const folder = await mkdtemp(join(tmpdir(), 'shardwise-'))
  open.push(() => rm(folder, { recursive: true }))
  const trusted = join(folder, 'ca.pem')
  await writeFile(trusted, local.certificate!)
  const { port } = new URL(local.kinesisEndpoint)
  const script = `
    import { Producer } from '@shardwise/producer'
    for (const host of ['127.0.0.1', 'localhost']) {
      const endpoint = \`https://\${host}:${port}\`
      const producer = new Producer({ stream: 'flights', endpoint, region: '${REGION}', credentials: ${JSON.stringify(CREDENTIALS)}, lingerMs: 0 })
      for (let i = 0; i < 5; i++) console.log(host, (await producer.put({ partitionKey: 'k', data: Buffer.from('x') })).attempts)
      await producer.close()
    }`
  const args = ['--import', 'tsx', '-C', 'shardwise-source', '--input-type=module', '-e', script]
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: trusted }
  const { stdout } = await promisify(execFile)(process.execPath, args, { env })
  expect(stdout.trim().split('\n')).toEqual([...Array(5).fill('127.0.0.1 1'), ...Array(5).fill('localhost 1')])
})
