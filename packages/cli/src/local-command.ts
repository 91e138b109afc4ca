import { unlink, writeFile } from 'node:fs/promises'
import { type LocalServices, startLocal } from '@shardwise/local'
import { LOCAL_HELP, type LocalArguments, parseLocalArguments } from './local-arguments.js'
import type { Terminal } from './terminal.js'

const REGION = 'us-east-1'
/** Any pair is accepted; SDKs want one. */
const ACCESS_KEY_ID = 'local'
const SECRET_ACCESS_KEY = 'local'

/** `shardwise local`: both services until the terminal says stop. Leaves no port and no file behind. */
export async function localCommand(args: readonly string[], terminal: Terminal): Promise<void> {
  const options = parseLocalArguments(args)
  if (options.help) return terminal.out(LOCAL_HELP)
  const local = await startLocal({
    host: options.host,
    port: options.port,
    dynamodbPort: options.dynamodbPort,
    quotas: options.quotas,
    tls: options.tls ? 'self-signed' : false,
    region: REGION,
    // A stream is there as soon as it is made: those of --stream when the command says Ready.
    transitionMs: { create: 0 },
  })
  try {
    for (const { name, shards } of options.streams) local.model.call('CreateStream', { StreamName: name, ShardCount: shards })
    await withCertificateFile(options.certificateFile, local.certificate, async () => {
      announce(options, local, terminal)
      await terminal.stopped
    })
  } finally {
    await local.stop()
  }
  if (!options.json) terminal.out('Stopped.\n')
}

async function withCertificateFile(
  file: string | undefined,
  certificate: string | undefined,
  run: () => Promise<void>,
): Promise<void> {
  if (file === undefined || certificate === undefined) return run()
  // A file that is there already may be somebody's certificate: never written over, never removed.
  await writeFile(file, certificate, { flag: 'wx' }).catch((cause: NodeJS.ErrnoException) => {
    const reason = cause.code === 'EEXIST' ? 'it exists. Remove it or name another' : cause.message
    throw new Error(`Cannot write --certificate-file ${file}: ${reason}`, { cause })
  })
  try {
    await run()
  } finally {
    await unlink(file).catch(() => {})
  }
}

function announce(options: LocalArguments, local: LocalServices, terminal: Terminal): void {
  if (!isLoopback(options.host)) {
    terminal.error(
      `Warning: listening on ${options.host}. Whoever reaches this machine can read and write these streams and tables.\n`,
    )
  }
  const variables = {
    AWS_ENDPOINT_URL_KINESIS: local.kinesisEndpoint,
    AWS_ENDPOINT_URL_DYNAMODB: local.dynamodbEndpoint,
    AWS_REGION: REGION,
    AWS_ACCESS_KEY_ID: ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY: SECRET_ACCESS_KEY,
    ...(options.certificateFile === undefined ? {} : { NODE_EXTRA_CA_CERTS: options.certificateFile }),
  }
  if (options.json) {
    const { kinesisEndpoint, dynamodbEndpoint, certificate } = local
    const ready = {
      ready: true,
      kinesisEndpoint,
      dynamodbEndpoint,
      region: REGION,
      streams: options.streams,
      certificate,
      environment: variables,
    }
    terminal.out(`${JSON.stringify(ready)}\n`)
    return
  }
  terminal.out(`Kinesis   ${local.kinesisEndpoint}\nDynamoDB  ${local.dynamodbEndpoint}\n`)
  for (const { name, shards } of options.streams)
    terminal.out(`Stream    ${name}, ${shards} ${shards === 1 ? 'shard' : 'shards'}\n`)
  const exports = Object.entries(variables).map(([name, value]) => `  export ${name}=${value}\n`)
  terminal.out(
    `\nFor the AWS SDKs and the AWS command line:\n${exports.join('')}\nReady. Ctrl-C stops, and everything stored is gone.\n`,
  )
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)
}
