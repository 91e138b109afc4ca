import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository, workspacePackages } from './workspace-packages.js'

export interface ReadmeExample {
  /** Where it stands: `README.md block 1`. */
  readonly title: string
  /** For files: `root-1`. */
  readonly name: string
  readonly language: 'ts' | 'js'
  readonly code: string
}

/** Every ts and js block of the READMEs, and of the pages that the packages ship beside them, in order. */
export function readmeExamples(): readonly ReadmeExample[] {
  const readmes = [['root', 'README.md']]
  for (const { folder } of workspacePackages) {
    const short = folder.slice(folder.lastIndexOf('/') + 1)
    const path = folder.slice(repository.length + 1)
    readmes.push([short, `${path}/README.md`])
    const pages = existsSync(`${folder}/docs`) ? readdirSync(`${folder}/docs`).filter((page) => page.endsWith('.md')) : []
    for (const page of pages) readmes.push([`${short}-${page.slice(0, -3)}`, `${path}/docs/${page}`])
  }
  return readmes.flatMap(([short, path]) => {
    const file = join(repository, path!)
    if (!existsSync(file)) return []
    const blocks = [...readFileSync(file, 'utf8').matchAll(/^```(ts|js)\n(.*?)^```$/gms)]
    return blocks.map(([, language, code], index) => ({
      title: `${path} block ${index + 1}`,
      name: `${short}-${index + 1}`,
      language: language === 'ts' ? 'ts' : 'js',
      code: code!,
    }))
  })
}

/** A Lambda handler does nothing until it is called. */
const CALL_HANDLER = `
await handler({ Records: [{ kinesis: { data: 'aGVsbG8=', partitionKey: 'k', sequenceNumber: '1' } }] })
`

/** The module that runs: the example, and the call of what it exports. */
export function runnable(code: string): string {
  return /^export (async )?function handler\(/m.test(code) ? code + CALL_HANDLER : code
}

/** The same program for `require()`: its imports become calls, and the rest runs in an async function, as it awaits. */
export function asCommonJs(code: string): string {
  const body = code
    .replace(
      /^import \{([^}]*)\} from ('[^']+');?$/gm,
      (_, names: string, from: string) => `const {${names.replaceAll(' as ', ': ')}} = require(${from});`,
    )
    .replace(/^import \* as (\w+) from ('[^']+');?$/gm, 'const $1 = require($2);')
    .replace(/^export \{\};?$/gm, '')
    .replace(/^export (?=(async )?(function|const|class)\b)/gm, '')
  const left = /^(import|export)\b.*$/m.exec(body)
  if (left !== null)
    throw new Error(`The harness cannot turn "${left[0]}" into require(): write named imports, or teach asCommonJs.`)
  return `(async () => {\n${body}\n})().catch((error) => {\n  console.error(error)\n  process.exitCode = 1\n})\n`
}

// The service of the installed tarballs, with one record in each stream so that a reader has something to read.
const SERVICE = `
import { startLocal } from '@shardwise/local'
const local = await startLocal({ transitionMs: { create: 0 } })
for (const StreamName of process.argv.slice(2)) {
  local.model.call('CreateStream', { StreamName, ShardCount: 2 })
  local.model.call('PutRecord', { StreamName, PartitionKey: 'k', Data: new Uint8Array([123, 125]) })
}
console.log(JSON.stringify({ kinesis: local.kinesisEndpoint, dynamodb: local.dynamodbEndpoint }))
process.stdin.resume().once('end', () => local.stop())
`

export interface ExampleRun {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs one program on a fresh local service until it ends. One that waits for SIGTERM gets it after its first output. The AWS SDK takes
 * endpoint, region and credentials from the environment, as in a deployed program.
 */
export async function runExample(node: string, project: string, file: string, code: string): Promise<ExampleRun> {
  const service = join(project, 'service.mjs')
  writeFileSync(service, SERVICE)
  const streams = new Set(
    [...code.matchAll(/\bstream: '([^']+)'|\bStreamName: '([^']+)'/g)].map((match) => (match[1] ?? match[2])!),
  )
  const local = spawn(node, [service, ...streams], { cwd: project, stdio: ['pipe', 'pipe', 'inherit'] })
  try {
    const { kinesis, dynamodb }: { kinesis: string; dynamodb: string } = JSON.parse(await firstLine(local))
    const env = {
      ...process.env,
      AWS_ENDPOINT_URL_KINESIS: kinesis,
      AWS_ENDPOINT_URL_DYNAMODB: dynamodb,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
    }
    const program = spawn(node, [file], { cwd: project, env, timeout: 60_000, killSignal: 'SIGKILL' })
    let stdout = ''
    let stderr = ''
    program.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString()
    })
    program.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString()
    })
    if (code.includes("'SIGTERM'")) program.stdout.once('data', () => program.kill('SIGTERM'))
    const exit = await ended(program)
    return { code: exit, stdout, stderr }
  } finally {
    const stopped = ended(local)
    local.stdin.end()
    await stopped
  }
}

function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null) return Promise.resolve(child.exitCode)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve(code))
  })
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')))
    })
    child.once('exit', (code) =>
      reject(new Error(`The local service ended (exit code ${code}) before it said where it listens: ${text}`)),
    )
  })
}
