import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { DynamoDBClient, ListTablesCommand } from '@aws-sdk/client-dynamodb'
import { DescribeStreamSummaryCommand, KinesisClient, ListStreamsCommand } from '@aws-sdk/client-kinesis'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { afterEach, describe, expect, it, vi } from 'vitest'

const bin = fileURLToPath(new URL('./shardwise.ts', import.meta.url))
const children: ChildProcess[] = []
const folders: string[] = []

afterEach(() => {
  vi.unstubAllEnvs()
  for (const child of children.splice(0)) child.kill('SIGKILL')
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

interface Run {
  readonly child: ChildProcess
  /** The standard output so far, once it holds this text; rejects when the command ends without. */
  shows(expected: string): Promise<string>
  readonly ended: Promise<{ code: number | null; signal: string | null; out: string; error: string }>
}

function shardwise(...args: string[]): Run {
  const child = spawn(process.execPath, ['--import', 'tsx', '-C', 'shardwise-source', bin, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.push(child)
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    out += chunk
  })
  const error = text(child.stderr)
  const ended = once(child, 'close').then(async ([code, signal]) => ({ code, signal, out, error: await error }))
  const shows = (expected: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (out.includes(expected)) resolve(out)
      }
      child.stdout.on('data', look)
      look()
      ended.then(({ error }) => reject(new Error(`ended without showing ${expected}: ${out}${error}`)))
    })
  return { child, shows, ended }
}

describe('shardwise local', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('serves both until %s, then ends with 0', async (signal) => {
    const run = shardwise('local', '--port', '0', '--dynamodb-port', '0', '--stream', 'orders:3', '--stream', 'one:1')
    const shown = await run.shows('Ready.')
    const value = (name: string): string => new RegExp(`^ {2}export ${name}=(.+)$`, 'm').exec(shown)![1]!
    expect(shown).toContain(`Kinesis   ${value('AWS_ENDPOINT_URL_KINESIS')}\n`)
    expect(shown).toContain(`DynamoDB  ${value('AWS_ENDPOINT_URL_DYNAMODB')}\n`)
    expect(shown).toContain('Stream    orders, 3 shards\nStream    one, 1 shard\n')
    // What the user would export is all that a client needs.
    for (const [, name, content] of shown.matchAll(/^ {2}export (\w+)=(.+)$/gm)) vi.stubEnv(name!, content)
    const exported = new KinesisClient()
    expect((await exported.send(new ListStreamsCommand({}))).StreamNames).toHaveLength(2)
    vi.unstubAllEnvs()
    exported.destroy()
    const config = {
      region: value('AWS_REGION'),
      credentials: { accessKeyId: value('AWS_ACCESS_KEY_ID'), secretAccessKey: value('AWS_SECRET_ACCESS_KEY') },
    }
    const kinesis = new KinesisClient({ ...config, endpoint: value('AWS_ENDPOINT_URL_KINESIS') })
    // A connection kept open must not keep the command from its end.
    const idle = new KinesisClient({
      ...config,
      endpoint: value('AWS_ENDPOINT_URL_KINESIS'),
      requestHandler: new NodeHttpHandler(),
    })
    const dynamodb = new DynamoDBClient({ ...config, endpoint: value('AWS_ENDPOINT_URL_DYNAMODB') })
    expect((await kinesis.send(new ListStreamsCommand({}))).StreamNames).toEqual(['one', 'orders'])
    const { StreamDescriptionSummary } = await idle.send(new DescribeStreamSummaryCommand({ StreamName: 'orders' }))
    expect(StreamDescriptionSummary?.OpenShardCount).toBe(3)
    expect((await dynamodb.send(new ListTablesCommand({}))).TableNames).toEqual([])
    run.child.kill(signal)
    expect(await run.ended).toMatchObject({ code: 0, signal: null, error: '', out: expect.stringMatching(/\nStopped\.\n$/) })
    for (const client of [kinesis, idle, dynamodb]) client.destroy()
  })

  it('says it in JSON, keeps its certificate in a file, and removes the file at the end', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'shardwise-'))
    folders.push(folder)
    const file = join(folder, 'local.pem')
    const args = ['local', '--json', '--port', '0', '--dynamodb-port', '0', '--tls', '--certificate-file', file]
    const run = shardwise(...args)
    const ready = JSON.parse(await run.shows('\n'))
    expect(ready).toMatchObject({ ready: true, region: 'us-east-1', streams: [], environment: { NODE_EXTRA_CA_CERTS: file } })
    expect(readFileSync(file, 'utf8')).toBe(ready.certificate)
    const client = new KinesisClient({
      endpoint: ready.kinesisEndpoint,
      region: ready.region,
      credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
      requestHandler: new NodeHttpHandler({ httpsAgent: new Agent({ ca: ready.certificate }) }),
    })
    expect((await client.send(new ListStreamsCommand({}))).StreamNames).toEqual([])
    client.destroy()
    run.child.kill('SIGTERM')
    const { code, out, error } = await run.ended
    expect({ code, lines: out.trim().split('\n').length, error }).toEqual({ code: 0, lines: 1, error: '' })
    expect(existsSync(file)).toBe(false)

    writeFileSync(file, 'precious')
    expect(await shardwise(...args).ended).toMatchObject({
      code: 1,
      error: `shardwise: Cannot write --certificate-file ${file}: it exists. Remove it or name another\n`,
    })
    expect(readFileSync(file, 'utf8')).toBe('precious')
  })

  it('goes on when nobody reads what it says any more, and still cleans up', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'shardwise-'))
    folders.push(folder)
    const file = join(folder, 'local.pem')
    const run = shardwise('local', '--port', '0', '--dynamodb-port', '0', '--tls', '--certificate-file', file)
    await run.shows('Ready.')
    run.child.stdout!.destroy()
    run.child.kill('SIGTERM')
    expect(await run.ended).toMatchObject({ code: 0, signal: null, error: '' })
    expect(existsSync(file)).toBe(false)
  })

  it('warns when others can reach it', async () => {
    const run = shardwise('local', '--port', '0', '--dynamodb-port', '0', '--host', '0.0.0.0')
    await run.shows('Ready.')
    run.child.kill('SIGINT')
    expect((await run.ended).error).toBe(
      'Warning: listening on 0.0.0.0. Whoever reaches this machine can read and write these streams and tables.\n',
    )
  })

  it('ends with 1 when a port is in use, saying which and what to do', async () => {
    const holder = createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    const { port } = holder.address() as { port: number }
    const ended = await shardwise('local', '--port', '0', '--dynamodb-port', String(port)).ended
    holder.close()
    expect(ended).toMatchObject({
      code: 1,
      out: '',
      error: `shardwise: Cannot listen on 127.0.0.1:${port} (option --dynamodb-port): it is in use. Stop the process that holds it, or choose another one (0 takes a free port)\n`,
    })
  })
})
