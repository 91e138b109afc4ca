import { inspect } from 'node:util'
import { Consumer, json } from '@shardwise/consumer'
import { connectKinesis } from '@shardwise/core/transport'
import { startLocal } from '@shardwise/local'
import { type DataKeys, encrypted, Producer } from '@shardwise/producer'

const SECRET_KEY = 'wJalrXUtnFEMI/K7MDENG/SECRETSECRETSECRET'
const SESSION_TOKEN = 'FwoGZXIvYXdzEXAMPLESESSIONTOKENSESSIONTOKEN=='
const WRONG_KEY = 'wrongwrongwrong/SECRETSECRETSECRETSECRET'
const DATA_KEY = Buffer.alloc(32, 'datakeydatakey')
const PAYLOAD = 'the-payload-that-was-encrypted'

/** In each form in which they might be shown. */
export const SECRETS: readonly string[] = [
  SECRET_KEY,
  WRONG_KEY,
  SESSION_TOKEN,
  encodeURIComponent(SECRET_KEY),
  DATA_KEY.toString('latin1'),
  DATA_KEY.toString('hex'),
  DATA_KEY.toString('base64'),
  DATA_KEY.toString('hex').replace(/(..)(?!$)/g, '$1 '),
  DATA_KEY.toString('hex')
    .replace(/(..)(?!$)/g, '$1 ')
    .slice(0, 60),
  [...DATA_KEY].join(','),
  PAYLOAD,
]

const texts: string[] = []
const failures: Record<string, number> = {
  ...{ signature: 0, refused: 0, throttled: 0, option: 0, decode: 0, handler: 0, keys: 0 },
  ...{ startSignature: 0, startKinesis: 0, startTable: 0, startRetried: 0, readThrottled: 0 },
}

/** As a logger, a debugger or a crash reporter would show it. */
function show(value: unknown): void {
  texts.push(
    inspect(value, {
      depth: Number.POSITIVE_INFINITY,

      getters: true,
      maxStringLength: null,
      maxArrayLength: null,
    }),
  )
  texts.push(String(value))
  const seen = new WeakSet()
  const plain = (_: string, item: unknown): unknown => {
    if (typeof item === 'bigint') return String(item)
    if (typeof item !== 'object' || item === null) return item
    if (seen.has(item)) return undefined
    seen.add(item)
    return item instanceof Error ? { ...item, message: item.message, stack: item.stack, cause: item.cause } : item
  }
  texts.push(JSON.stringify(value, plain) ?? '')
}

async function failing(kind: string, work: () => unknown): Promise<void> {
  try {
    await work()
  } catch (error) {
    failures[kind] = (failures[kind] ?? 0) + 1
    show(error)
  }
}

const logger = Object.fromEntries(
  ['trace', 'debug', 'info', 'warn', 'error'].map((level) => [level, (...line: unknown[]) => show(line)]),
)

/** What has not happened by then counts as not happened: the test says what is missing. */
const PATIENCE_MS = 60_000
const LOOK_MS = 20

async function until(holds: () => boolean): Promise<void> {
  const since = performance.now()
  while (!holds() && performance.now() - since < PATIENCE_MS) await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
}

async function main(): Promise<void> {
  const right = { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: SECRET_KEY }
  await using local = await startLocal({ credentials: right, transitionMs: { create: 0, delete: 0, update: 0 } })
  local.model.call('CreateStream', { StreamName: 'flights', ShardCount: 1 })
  show(local)
  const keys: DataKeys = {
    generate: async () => ({ key: Uint8Array.from(DATA_KEY), wrapped: Buffer.from('wrapped') }),
    decrypt: async () => Uint8Array.from(DATA_KEY),
  }
  const codec = encrypted(json<string>(), { keys })
  const refusing = encrypted(json<string>(), {
    keys: { ...keys, generate: async () => Promise.reject(new Error('AccessDenied')) },
  })
  const brief = { requestTimeoutMs: 2000, connectTimeoutMs: 500, region: 'us-east-1' }
  const good = { ...brief, endpoint: local.kinesisEndpoint, credentials: { ...right, sessionToken: SESSION_TOKEN } }
  const bad = { ...good, credentials: { ...right, secretAccessKey: WRONG_KEY, sessionToken: SESSION_TOKEN } }
  const dead = { ...good, endpoint: 'http://127.0.0.1:1' }
  const dynamodbEndpoint = local.dynamodbEndpoint
  // Where the record is to arrive, however slow the machine.
  const patient = { recordTtlMs: PATIENCE_MS, requestTimeoutMs: 30_000 }
  const record = { partitionKey: 'k', data: PAYLOAD }

  const producerOf = (connection: typeof good, more: object = {}): Producer<string> => {
    const producer = new Producer({
      stream: 'flights',
      codec,
      ...connection,
      recordTtlMs: 1500,
      logger: logger as never,
      lingerMs: 10,
      ...more,
    })
    producer.events.onAny(show)
    show(producer)
    return producer
  }
  const put = async (producer: Producer<string>, kind: string): Promise<void> => {
    await failing(kind, () => producer.put(record))
    show([producer, producer.stats()])
    await producer.close()
    show(producer)
  }
  await put(producerOf(bad), 'signature')
  await put(producerOf(dead), 'refused')
  await put(producerOf(good, { codec: refusing }), 'keys')
  const throttled = local.faults.on('PutRecords', { times: 1000, fail: { code: 'ProvisionedThroughputExceededException' } })
  await put(producerOf(good), 'throttled')
  throttled.remove()
  await put(producerOf(good, patient), 'none')
  // Encrypted text that is no JSON: JSON.parse would quote it.
  const spoilt = encrypted({ encode: (text: string) => Buffer.from(text), decode: String }, { keys })
  await put(producerOf(good, { codec: spoilt, ...patient }), 'none')

  await failing('option', () => new Producer({ stream: 'flights', credentials: right, secretAccessKey: SECRET_KEY } as never))
  await failing('option', () => new Producer({ stream: 'flights', region: right } as never))
  await failing('option', () => new Consumer({ stream: 'flights', applicationName: 'a', workerId: right } as never))
  await failing('option', () => connectKinesis({ endpoint: 'nowhere', credentials: right, requestTimeoutMs: right } as never))
  await failing('option', () => startLocal({ credentials: SECRET_KEY } as never))

  const consumerOf = (connection: typeof good, dynamodb: string): Consumer<string> => {
    const consumer = new Consumer({
      ...{ stream: 'flights', applicationName: 'delays', initialPosition: 'trim-horizon', codec, dynamodbEndpoint: dynamodb },
      ...{ region: 'us-east-1', endpoint: connection.endpoint, credentials: connection.credentials, failoverTimeMs: 1000 },
      retry: { baseMs: 100 },
    })
    consumer.events.onAny((event) => {
      if (event.type === 'handler-failed') failures.handler!++
      if (event.type === 'handler-failed' && String(event.error).includes('cannot decode')) failures.decode!++
      if (event.type === 'start-retried') failures.startRetried!++
      if (event.type === 'read-throttled') failures.readThrottled!++
      show(event)
    })
    show(consumer)
    return consumer
  }
  const run = async (
    consumer: Consumer<string>,
    kind: string,
    happened: () => boolean = () => false,
    handler: (data: string) => void = () => {},
  ): Promise<void> => {
    const running = failing(kind, () =>
      consumer.run({
        eachRecord: (each, context) => {
          show(context)
          handler(each.data)
        },
      }),
    )
    let isOver = false
    void running.then(() => {
      isOver = true
    })
    await until(() => isOver || happened())
    show([consumer, consumer.snapshot()])
    await consumer.stop({ timeoutMs: 100 })
    await running
  }
  await run(consumerOf(bad, dynamodbEndpoint), 'startSignature')
  await run(consumerOf(dead, dynamodbEndpoint), 'startKinesis')
  await run(consumerOf(good, 'http://127.0.0.1:1'), 'startTable')
  local.faults.on('GetRecords', { times: 2, fail: { code: 'ProvisionedThroughputExceededException' } })
  const got: string[] = []
  const allHappened = (): boolean => failures.readThrottled! > 0 && failures.decode! > 0 && got.includes(PAYLOAD)
  await run(consumerOf(good, dynamodbEndpoint), 'none', allHappened, (data) => {
    got.push(data)
    if (got.length === 1) throw new Error('the handler fails')
  })

  // What was decrypted is the program's to show, and was not shown by us.
  const found = texts.flatMap((text) => SECRETS.filter((secret) => text.includes(secret)))
  const secretsShown = [...new Set(found)].map((secret) => SECRETS.indexOf(secret)).map(String)
  show({ credentials: right })
  const control = texts.at(-3)!.includes(SECRET_KEY) && got.includes(PAYLOAD) ? 'found' : 'missed'
  console.log(JSON.stringify({ texts: texts.length, failures: { ...failures, none: 1 }, secretsShown, control }))
}

if (process.argv[1] === new URL(import.meta.url).pathname) await main()
