import { parseArgs } from 'node:util'
import { UsageError } from './usage-error.js'

export interface LocalArguments {
  readonly help: boolean
  readonly host: string
  readonly port: number
  readonly dynamodbPort: number
  readonly tls: boolean
  readonly certificateFile: string | undefined
  readonly quotas: boolean
  readonly streams: readonly { readonly name: string; readonly shards: number }[]
  readonly json: boolean
}

export const LOCAL_HELP = `Usage: shardwise local [options]

Runs Amazon Kinesis Data Streams and DynamoDB on this machine, in memory, until Ctrl-C.

Options:
  --port <n>               port of Kinesis, 0 for a free one (default 4567)
  --dynamodb-port <n>      port of DynamoDB, 0 for a free one (default 4569)
  --host <address>         where to listen (default 127.0.0.1: this machine alone)
  --stream <name:shards>   create this stream at the start; may be given more than once
  --no-quotas              do not limit the throughput of shards (default: as the service does)
  --tls                    https, with a certificate made at the start
  --certificate-file <f>   with --tls: keep the certificate in this file while running, for clients to trust
  --json                   say where the services are as one line of JSON
  -h, --help               show this
`

const OPTIONS = {
  port: { type: 'string' },
  'dynamodb-port': { type: 'string' },
  host: { type: 'string' },
  stream: { type: 'string', multiple: true },
  'no-quotas': { type: 'boolean' },
  tls: { type: 'boolean' },
  'certificate-file': { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

const MOST_SHARDS = 10_000

/** What follows `shardwise local`. Throws UsageError. */
export function parseLocalArguments(args: readonly string[]): LocalArguments {
  const given = parsed(args)
  const port = portOf('--port', given.port, 4567)
  const dynamodbPort = portOf('--dynamodb-port', given['dynamodb-port'], 4569)
  if (port === dynamodbPort && port !== 0) {
    throw new UsageError(`--port and --dynamodb-port must be two different ports, got ${port} for both`)
  }
  if (given['certificate-file'] !== undefined && given.tls !== true) {
    throw new UsageError(`--certificate-file needs --tls, as there is no certificate without it`)
  }
  return {
    help: given.help ?? false,
    host: hostOf(given.host),
    port,
    dynamodbPort,
    tls: given.tls ?? false,
    certificateFile: given['certificate-file'],
    quotas: given['no-quotas'] !== true,
    streams: streamsOf(given.stream ?? []),
    json: given.json ?? false,
  }
}

/** Inferred, because the type of the values follows from OPTIONS. */
const parsed = (args: readonly string[]) => {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true, allowPositionals: false }).values
  } catch (error) {
    // "Unknown option '--prot'. To specify a positional argument starting with a '-', ...": there are none, so that would mislead.
    throw new UsageError((error as Error).message.replaceAll('\n', ' ').replace(/\. To specify a positional .*/, ''))
  }
}

function portOf(option: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (!(port <= 65_535)) throw new UsageError(`${option} must be a whole number from 0 to 65535, got '${text}'`)
  return port
}

function hostOf(text = '127.0.0.1'): string {
  if (!/^[\w.:-]+$/.test(text)) throw new UsageError(`--host must be a host name or an IP address, got '${text}'`)
  return text
}

function streamsOf(texts: readonly string[]): { name: string; shards: number }[] {
  const streams = new Map<string, number>()
  for (const text of texts) {
    const [, name = '', count = ''] = /^([\w.-]{1,128}):(\d{1,5})$/.exec(text) ?? []
    const shards = Number(count)
    if (name === '' || shards < 1 || shards > MOST_SHARDS) {
      throw new UsageError(
        `--stream must be a name (1 to 128 letters, digits, _ . -), a colon and the number of shards (1 to ${MOST_SHARDS}), ` +
          `such as orders:4, got '${text}'`,
      )
    }
    if (streams.has(name)) throw new UsageError(`--stream must name each stream once, got '${name}' twice`)
    streams.set(name, shards)
  }
  return [...streams].map(([name, shards]) => ({ name, shards }))
}
