/** `npm run bench`: ours against every peer, in turns, and nothing reported that was not verified. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { aggregation } from './aggregation.js'
import { consumer } from './consumer.js'
import { consumerHttp } from './consumer-http.js'
import { type Elsewhere, elsewhereOf } from './elsewhere.js'
import { fleetDepartures } from './fleet-departures.js'
import { getRecordsBody } from './getrecords-body.js'
import { growth } from './growth.js'
import { idleShards } from './idle-shards.js'
import { keyToShard } from './key-to-shard.js'
import { leaseCost } from './lease-cost.js'
import { producer } from './producer.js'
import { producerHttp } from './producer-http.js'
import { profile, profileTable } from './profile.js'
import { putAckLatency } from './put-ack-latency.js'
import { putHandlerLatency } from './put-handler-latency.js'
import { jsonLine, table } from './report.js'
import { request } from './request.js'
import { requestHttp } from './request-http.js'
import { type Benchmarks, LEAST_ROUNDS, type Measurement, measure, type Timer, WrongResult } from './rounds.js'
import type { Scenarios } from './scenario.js'
import { UsageError } from './usage-error.js'

const EXIT_WRONG_RESULT = 1
const EXIT_USAGE = 2
const MOST_ROUNDS = 1000
const RESULTS = new URL('results/', import.meta.url)

const benchmarks: Benchmarks = { ...aggregation, ...getRecordsBody, ...keyToShard, ...producer, ...consumer, ...request }
const scenarios: Scenarios = {
  ...requestHttp,
  ...producerHttp,
  ...consumerHttp,
  ...putAckLatency,
  ...putHandlerLatency,
  ...idleShards,
  ...leaseCost,
  ...fleetDepartures,
  ...growth,
}
const allNames = [...Object.keys(benchmarks), ...Object.keys(scenarios)]

const USAGE = `npm run bench -- [NAME...] [--rounds N] [--cpu] [--json] [--profile] [--endpoint URL --region R --stream NAME]

  NAME        which benchmarks to run, those of this name and those whose names begin so, as far as they take the options; 'producer' is all of producers (default: all):
              ${allNames.join('\n              ')}
  --rounds N  how often each variant takes its turn, from ${LEAST_ROUNDS} to ${MOST_ROUNDS} (default ${LEAST_ROUNDS})
  --cpu       measure processor time (of all threads of this process) in place of the wall clock: for a machine that does other work
  --json      print the result as a JSON array on the last line, and keep it with every round's times in benchmarks/results/
  --profile   instead of the times: what the first variant allocates for each operation, and which functions take its time
  --endpoint URL --region R --stream NAME
              measure those over HTTP against another Kinesis, on a stream that is made, and deleted at the end; there must be none of that name.
              Credentials are those that the AWS SDK finds. Against AWS itself only with SHARDWISE_AWS=1, and at your own cost
`

interface Choice {
  readonly names: readonly string[]
  readonly rounds: number
  readonly timer: Timer
  readonly json: boolean
  readonly profile: boolean
  readonly elsewhere: Elsewhere | undefined
}

async function parseChoice(args: readonly string[]): Promise<Choice | 'help'> {
  const options = {
    rounds: { type: 'string' },
    cpu: { type: 'boolean' },
    json: { type: 'boolean' },
    profile: { type: 'boolean' },
    endpoint: { type: 'string' },
    region: { type: 'string' },
    stream: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  } as const
  let parsed: ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>>
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  const { values, positionals } = parsed
  if (values.help === true) return 'help'
  const rounds = values.rounds === undefined ? LEAST_ROUNDS : Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < LEAST_ROUNDS || rounds > MOST_ROUNDS) {
    throw new UsageError(`--rounds must be a whole number from ${LEAST_ROUNDS} to ${MOST_ROUNDS}, got '${values.rounds}'`)
  }
  const elsewhere = await elsewhereOf(values, process.env)
  /** The option that this benchmark does not take. */
  const unsuitedTo = (name: string): string | undefined => {
    const scenario = scenarios[name]
    if (scenario === undefined) return elsewhere === undefined ? undefined : '--endpoint'
    if (values.profile === true) return '--profile'
    if (values.cpu === true && scenario.ofWallClock) return '--cpu'
    return elsewhere !== undefined && scenario.anywhere !== true ? '--endpoint' : undefined
  }
  const suited = (names: readonly string[]): string[] => names.filter((name) => unsuitedTo(name) === undefined)
  const chosen = positionals.flatMap((name) => {
    const matching = allNames.filter((each) => each === name || each.startsWith(`${name}-`))
    if (matching.length === 0) throw new UsageError(`NAME must be one of the benchmarks listed below, got '${name}'`)
    const [first] = matching
    if (suited(matching).length === 0) throw new UsageError(`${unsuitedTo(first!)} is not for '${first}'`)
    return suited(matching)
  })
  const names = positionals.length === 0 ? suited(allNames) : [...new Set(chosen)]
  if (values.profile === true && (values.json === true || values.cpu === true || values.rounds !== undefined)) {
    throw new UsageError('--profile takes none of --rounds, --cpu and --json: its figures are no measurement of speed')
  }
  const timer = values.cpu === true ? 'cpu' : 'wall'
  return { names, rounds, timer, json: values.json === true, profile: values.profile === true, elsewhere }
}

async function profileAll({ names }: Choice): Promise<void> {
  for (const name of names) process.stdout.write(`${profileTable(await profile(name, benchmarks[name]!()))}\n`)
  process.stdout.write(`Node ${process.version}. What each variant produced was verified first.\n`)
}

async function runAll({ names, rounds, timer, json, elsewhere }: Choice): Promise<void> {
  const startedAt = new Date().toISOString()
  const measurements: Measurement[] = []
  const reports: string[] = []
  for (const [i, name] of names.entries()) {
    // On a terminal one line that changes; in a pipe a line for each benchmark.
    const position = `[${i + 1}/${names.length}] ${name}`
    if (!process.stderr.isTTY) process.stderr.write(`${position}\n`)
    const progress = (step: string): void => {
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${position}: ${step}`)
    }
    const scenario = scenarios[name]
    if (scenario === undefined) measurements.push(await measure(name, benchmarks[name]!, { rounds, timer }, progress))
    else {
      const outcome = await scenario.run(rounds, progress, elsewhere)
      measurements.push(...outcome.measurements)
      reports.push(outcome.report)
    }
  }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  const machine = { node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, load: loadavg()[0]! }
  process.stdout.write(`${reports.map((report) => `${report}\n`).join('')}${table(measurements)}
Median of ${rounds} rounds, by ${timer === 'cpu' ? 'processor time' : 'the wall clock'} where the unit does not say otherwise; ratios are taken within a round. What every variant produced was verified.
Node ${machine.node}, ${machine.cores} x ${machine.cpu}, load average ${machine.load.toFixed(1)}.
`)
  if (!json) return
  mkdirSync(RESULTS, { recursive: true })
  const file = new URL(`${startedAt.replaceAll(':', '-')}.json`, RESULTS)
  writeFileSync(
    file,
    `${JSON.stringify({ startedAt, machine, rounds, timer, endpoint: elsewhere?.connection.endpoint, measurements }, null, 2)}\n`,
  )
  process.stdout.write(jsonLine(measurements))
}

try {
  const choice = await parseChoice(process.argv.slice(2))
  if (choice === 'help') process.stdout.write(USAGE)
  else if (choice.profile) await profileAll(choice)
  else await runAll(choice)
} catch (error) {
  if (error instanceof UsageError) {
    process.stderr.write(`${error.message}\n\n${USAGE}`)
    process.exitCode = EXIT_USAGE
  } else if (error instanceof WrongResult) {
    process.stderr.write(`\nNo figure is reported, because a result was wrong: ${error.message}\n`)
    process.exitCode = EXIT_WRONG_RESULT
  } else throw error
}
// lifion-kinesis goes on after it was stopped, and nothing else keeps this process.
process.stdout.write('', () => process.exit())
