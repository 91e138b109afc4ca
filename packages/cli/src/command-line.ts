import { createRequire } from 'node:module'
import { localCommand } from './local-command.js'
import type { Terminal } from './terminal.js'
import { UsageError } from './usage-error.js'

const HELP = `Usage: shardwise <command> [options]

Commands:
  local    Kinesis and DynamoDB on this machine, for development and tests

Options:
  -h, --help       show this; after a command, its options
  -v, --version    show the version
`

/**
 * Runs one command line and gives its exit code: 0 done, 1 it could not be done (a port in use), 2 the command line is wrong. What went
 * wrong is said on the terminal, never thrown.
 */
export async function runCommandLine(args: readonly string[], terminal: Terminal): Promise<number> {
  try {
    await dispatch(args, terminal)
    return 0
  } catch (error) {
    if (error instanceof UsageError) {
      const help = args[0] === 'local' ? 'shardwise local --help' : 'shardwise --help'
      terminal.error(`shardwise: ${error.message}\nSee: ${help}\n`)
      return 2
    }
    terminal.error(`shardwise: ${withFlag(error)}\n`)
    return 1
  }
}

async function dispatch([command, ...rest]: readonly string[], terminal: Terminal): Promise<void> {
  switch (command) {
    case 'local':
      return localCommand(rest, terminal)
    case '-h':
    case '--help':
      return terminal.out(HELP)
    case '-v':
    case '--version':
      return terminal.out(`${version()}\n`)
    case undefined:
      throw new UsageError('a command is needed: local')
    default:
      throw new UsageError(`unknown command '${command}'; the commands are: local`)
  }
}

/** The library names its own option (`dynamodbPort`); here it is a flag. */
function withFlag(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return message.replace('option `port`', 'option --port').replace('option `dynamodbPort`', 'option --dynamodb-port')
}

function version(): string {
  const manifest: unknown = createRequire(import.meta.url)('../package.json')
  return (manifest as { readonly version: string }).version
}
