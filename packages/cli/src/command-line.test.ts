import { createRequire } from 'node:module'
import { expect, it } from 'vitest'
import { runCommandLine } from './command-line.js'

async function run(...args: string[]): Promise<{ code: number; out: string; error: string }> {
  let out = ''
  let error = ''
  const code = await runCommandLine(args, {
    out: (text) => {
      out += text
    },
    error: (text) => {
      error += text
    },
    stopped: Promise.resolve(),
  })
  return { code, out, error }
}

it.each([[['--help']], [['-h']]])('%j shows the commands', async (args) => {
  expect(await run(...args)).toEqual({ code: 0, out: expect.stringContaining('  local    Kinesis and DynamoDB'), error: '' })
})

it.each([[['local', '--help']], [['local', '--port', '1', '-h']]])('%j shows the options', async (args) => {
  expect(await run(...args)).toEqual({ code: 0, out: expect.stringContaining('--dynamodb-port <n>'), error: '' })
})

it('shows its version', async () => {
  const { version } = createRequire(import.meta.url)('../package.json')
  expect(await run('--version')).toEqual({ code: 0, out: `${version}\n`, error: '' })
})

it.each([
  [[], 'shardwise: a command is needed: local\nSee: shardwise --help\n'],
  [['locale'], "shardwise: unknown command 'locale'; the commands are: local\nSee: shardwise --help\n"],
  [['local', '--port=-1'], "shardwise: --port must be a whole number from 0 to 65535, got '-1'\nSee: shardwise local --help\n"],
  [['local', '--port=x'], "shardwise: --port must be a whole number from 0 to 65535, got 'x'\nSee: shardwise local --help\n"],
])('refuses %j with code 2', async (args, error) => {
  expect(await run(...args)).toEqual({ code: 2, out: '', error })
})

it('starts, says so and stops when asked', async () => {
  const { code, out, error } = await run('local', '--port', '0', '--dynamodb-port', '0')
  expect({ code, error }).toEqual({ code: 0, error: '' })
  expect(out).toMatch(/^Kinesis .*\nReady\. .*\nStopped\.\n$/s)
})
