import { createSecureContext } from 'node:tls'
import { type Clock, systemClock } from '@shardwise/core/clock'
import { booleanOption, InvalidOptionError, integerOption, refuseUnknownOptions, stringOption } from '@shardwise/core/options'
import { dynamoDbHandler } from './dynamodb.js'
import { FaultControl } from './faults.js'
import type { WireHandler } from './http-exchange.js'
import { HttpServer } from './http-server.js'
import { kinesisHandler } from './kinesis-http.js'
import { KinesisModel, type KinesisModelOptions } from './model/index.js'
import { type Certificate, selfSignedCertificate } from './self-signed-certificate.js'
import type { SigningKey } from './signature-v4.js'

export interface LocalOptions extends Omit<KinesisModelOptions, 'clock'> {
  /** Whether to start Kinesis; default true. */
  readonly kinesis?: boolean
  /** Whether to start DynamoDB; default true. */
  readonly dynamodb?: boolean
  /**
   * Where to listen; default 127.0.0.1. Anything but a loopback address lets the network in: there is no access control beyond
   * `credentials`.
   */
  readonly host?: string
  /** Port of Kinesis, 0 to 65535; default 0, a free one. */
  readonly port?: number
  /** Port of DynamoDB, 0 to 65535; default 0, a free one. */
  readonly dynamodbPort?: number
  /** Time of Kinesis: quotas, retention, iterators, signatures, `Date` headers, fault delays; default the machine's. */
  readonly clock?: Clock
  /** Default false: http. `'self-signed'` makes a certificate at the start (see `LocalServices.certificate`), or give your own in PEM. */
  readonly tls?: false | 'self-signed' | { readonly key: string; readonly cert: string }
  /** Only requests signed (Signature Version 4) with this key pair are served. Default: signatures are not looked at. */
  readonly credentials?: SigningKey
  /**
   * The account that Kinesis serves: with the `model` of services that were stopped these go on where they were, as a service that restarts
   * does. Default: a new one, made by the other options. None of those goes with it, for the model has its own; `clock` should be the same.
   */
  readonly model?: KinesisModel
}

/** Both services, running. `await using` stops them. */
export interface LocalServices {
  /** For `new KinesisClient({ endpoint })`. Throws when Kinesis was not started. */
  readonly kinesisEndpoint: string
  /** For `new DynamoDBClient({ endpoint })`. Throws when DynamoDB was not started. */
  readonly dynamodbEndpoint: string
  /** The certificate that the ports show, PEM, for a client's `ca`; undefined without TLS. */
  readonly certificate: string | undefined
  /** Kinesis' state, for direct calls beside HTTP and for `setQuotas`. */
  readonly model: KinesisModel
  /** Makes calls of either service fail, wait, or lose their answer. */
  readonly faults: FaultControl
  /** Breaks all connections and frees the ports. What is kept goes with this object, but for `model`. May be called more than once. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Kinesis and DynamoDB in this process, on loopback, empty. Rejects with InvalidOptionError, or with PortUnavailableError; then nothing
 * is left running.
 */
export async function startLocal(options: LocalOptions = {}): Promise<LocalServices> {
  const { kinesis, dynamodb, host, port, dynamodbPort, clock, tls, key, model } = checked(options)
  const faults = new FaultControl(clock)
  const server = (handler: WireHandler, at: { readonly port: number; readonly portOption: string }): HttpServer =>
    new HttpServer({ handler, host, tls, ...at })
  const kinesisServer = kinesis ? server(kinesisHandler({ model, faults, clock, key }), { port, portOption: 'port' }) : undefined
  const dynamodbServer = dynamodb
    ? server(dynamoDbHandler({ faults, clock, key }), { port: dynamodbPort, portOption: 'dynamodbPort' })
    : undefined
  const stop = async (): Promise<void> => {
    await Promise.all([kinesisServer?.stop(), dynamodbServer?.stop()])
  }
  try {
    await Promise.all([kinesisServer?.start(), dynamodbServer?.start()])
  } catch (error) {
    await stop()
    throw error
  }
  const scheme = tls === undefined ? 'http' : 'https'
  // Read once: after the stop a server has no address, but messages and tests may still name it.
  const kinesisEndpoint = kinesisServer && `${scheme}://${kinesisServer.authority}`
  const dynamodbEndpoint = dynamodbServer && `${scheme}://${dynamodbServer.authority}`
  return {
    get kinesisEndpoint() {
      return kinesisEndpoint ?? notStarted('Kinesis', 'kinesis')
    },
    get dynamodbEndpoint() {
      return dynamodbEndpoint ?? notStarted('DynamoDB', 'dynamodb')
    },
    certificate: tls?.cert,
    model,
    faults,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

const MODEL_OPTIONS = ['random', 'accountId', 'region', 'transitionMs', 'quotas', 'shardLimit'] as const
const OWN_OPTIONS = ['kinesis', 'dynamodb', 'host', 'port', 'dynamodbPort', 'clock', 'tls', 'credentials', 'model'] as const

interface Settings {
  readonly kinesis: boolean
  readonly dynamodb: boolean
  readonly host: string
  readonly port: number
  readonly dynamodbPort: number
  readonly clock: Clock
  readonly tls: Certificate | undefined
  readonly key: SigningKey | undefined
  readonly model: KinesisModel
}

function checked(options: LocalOptions): Settings {
  refuseUnknownOptions(options, [...OWN_OPTIONS, ...MODEL_OPTIONS])
  const { kinesis, dynamodb, host, port, dynamodbPort, clock = systemClock, tls, credentials, model, ...modelOptions } = options
  if (model !== undefined) checkModel(model, modelOptions)
  const settings = {
    kinesis: booleanOption('kinesis', kinesis, true),
    dynamodb: booleanOption('dynamodb', dynamodb, true),
    host: stringOption('host', host, { pattern: /^[\w.:-]+$/, says: 'a host name or an IP address', fallback: '127.0.0.1' }),
    port: integerOption('port', port, { min: 0, max: 65_535, fallback: 0 }),
    dynamodbPort: integerOption('dynamodbPort', dynamodbPort, { min: 0, max: 65_535, fallback: 0 }),
  }
  if (settings.kinesis && settings.dynamodb && settings.port !== 0 && settings.port === settings.dynamodbPort) {
    throw new InvalidOptionError(
      'dynamodbPort',
      `another port than \`port\` (${settings.port}), or 0 for a free one`,
      dynamodbPort,
    )
  }
  return {
    ...settings,
    clock,
    tls: certificateOf(tls, settings.host),
    key: keyOf(credentials),
    model: model ?? new KinesisModel({ ...modelOptions, clock }),
  }
}

function checkModel(model: KinesisModel, others: KinesisModelOptions): void {
  if (!(model instanceof KinesisModel)) throw new InvalidOptionError('model', 'a KinesisModel', model)
  const [own] = MODEL_OPTIONS.filter((name) => others[name] !== undefined)
  if (own !== undefined) throw new InvalidOptionError(own, 'left out where `model` is given, which has its own', others[own])
}

function certificateOf(tls: LocalOptions['tls'], host: string): Certificate | undefined {
  if (tls === undefined || tls === false) return undefined
  // By the machine's clock, not by the service's: TLS clients judge a certificate by theirs.
  if (tls === 'self-signed') return selfSignedCertificate(host, systemClock)
  if (!isPair(tls)) {
    throw new InvalidOptionError(
      'tls',
      `false, 'self-signed' or { key, cert } as PEM texts of one pair`,
      typeof tls === 'object' ? '(an object)' : tls,
    )
  }
  return tls
}

function isPair(tls: object | string): tls is Certificate {
  if (typeof tls !== 'object') return false
  const { key, cert } = tls as Partial<Certificate>
  if (typeof key !== 'string' || typeof cert !== 'string') return false
  try {
    createSecureContext({ key, cert })
    return true
  } catch {
    return false
  }
}

function keyOf(credentials: SigningKey | undefined): SigningKey | undefined {
  if (credentials === undefined) return undefined
  // Others are let be: the SDK writes into an object of credentials that it is given, and a misspelt one of these two is missing.
  for (const name of ['accessKeyId', 'secretAccessKey'] as const) {
    // The value stays out of the message: it may be half of somebody's real key.
    if (typeof credentials[name] !== 'string' || credentials[name] === '') {
      throw new InvalidOptionError(`credentials.${name}`, 'a text that is not empty', typeof credentials[name])
    }
  }
  return credentials
}

function notStarted(service: string, option: string): never {
  throw new Error(`${service} was not started: leave \`${option}: false\` out of the options`)
}
