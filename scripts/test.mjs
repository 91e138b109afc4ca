// npm test: everything that must hold before a change lands. `npm test -- unit types` runs only the named steps.
// A failed step does not hide the later ones: what failed is told again at the end. The last line is `N passed, N failed`.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { endChildren, installMissing, refuseOldNode, root, run } from './install.mjs'

const bin = (name) => join(root, 'node_modules', name)
const node = (script, ...args) =>
  run(process.execPath, [script, ...args], { env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' } })

const steps = {
  lint: check(() => node(bin('@biomejs/biome/bin/biome'), 'check', '--error-on-warnings', '.')),
  types: check(() => node(bin('typescript/bin/tsc'), '-p', 'tsconfig.json')),
  build: check(() => node(bin('turbo/bin/turbo'), 'run', 'build', '--no-update-notifier', '--output-logs=new-only')),
  unit: tests('unit'),
  integration: tests('integration'),
  packaging: tests('packaging'),
}

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !Object.hasOwn(steps, name))
if (unknown.length > 0) {
  console.error(`No step named ${unknown.join(', ')}. The steps are: ${Object.keys(steps).join(', ')}.`)
  process.exit(1)
}

let running = 'installation'
let interrupted = false
const folders = new Set()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, async () => {
    interrupted = true
    await endChildren(signal)
    for (const folder of folders) rmSync(folder, { recursive: true, force: true })
    console.error(`\nInterrupted during ${running}`)
    process.exit(130)
  })
}

refuseOldNode()
await installMissing()

const total = { passed: 0, failed: 0 }
const report = []
/** What failed in the tests, in the order of the run: a log that is cut, or read from its end, still tells it. */
const failures = []
for (const [name, step] of Object.entries(steps)) {
  if (asked.length > 0 && !asked.includes(name)) continue
  console.log(`\n== ${name}`)
  running = name
  const started = Date.now()
  const { passed, failed, told = [] } = await step()
  // The signal's handler ends this process: nothing may be started or counted meanwhile.
  if (interrupted) await new Promise(() => {})
  total.passed += passed
  total.failed += failed
  failures.push(...(failed > 0 && told.length === 0 ? [`FAILED ${name}: its output above says why`] : told))
  report.push(`${name}: ${passed} passed, ${failed} failed, ${((Date.now() - started) / 1000).toFixed(1)} s`)
}
for (const failure of failures) console.log(`\n${failure}`)
console.log(`\n${report.join('\n')}`)
console.log(`${total.passed} passed, ${total.failed} failed`)
process.exitCode = total.failed > 0 ? 1 : 0

/** One command is one check. */
function check(command) {
  return async () => ((await command()) === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 })
}

/** Each test of a vitest project is one check. A file that does not load, or a run that reports nothing, counts as one failure. */
function tests(project) {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), 'shardwise-test-'))
    folders.add(folder)
    try {
      const file = join(folder, 'report.json')
      const code = await node(
        bin('vitest/vitest.mjs'),
        ...['run', '--project', project, '--reporter=default', '--reporter=json', `--outputFile.json=${file}`],
      )
      const { passed, failed, told } = counts(file)
      return { passed, failed: code !== 0 && failed === 0 ? 1 : failed, told }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

function counts(file) {
  let report
  try {
    report = JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return { passed: 0, failed: 1 }
  }
  const brokenFiles = report.testResults.filter(
    (x) => x.status === 'failed' && x.assertionResults.every((y) => y.status !== 'failed'),
  )
  const told = report.testResults.flatMap(({ name, assertionResults }) =>
    assertionResults.filter((x) => x.status === 'failed').map((x) => failureText(name, x.fullName, x.failureMessages.join('\n'))),
  )
  told.push(...brokenFiles.map((x) => failureText(x.name, 'the file as a whole', x.message || 'its output above says why')))
  return { passed: report.numPassedTests, failed: report.numFailedTests + brokenFiles.length, told }
}

/** The beginning of what a failed test said, without the runner's part of the stack: the whole of it stands further up. */
function failureText(file, test, message) {
  const lines = message
    .split('\n')
    .filter((line) => !/^ +at .*node_modules/.test(line))
    .slice(0, 30)
  return [`FAILED ${relative(root, file)}: ${test}`, ...lines.map((line) => `  ${line.slice(0, 500)}`)].join('\n')
}
