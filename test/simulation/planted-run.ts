import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type PlantedBug, placeOfBug } from './planted-bugs.js'
import type { Order, Report } from './simulation-worker.js'

const path = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

/** Runs worlds with the bug until one breaks a promise, `seeds` at most. Undefined: none did. */
export async function catchBug(bug: PlantedBug, seeds: number): Promise<Report | undefined> {
  const planted = JSON.stringify({ file: placeOfBug(bug), find: bug.find, replace: bug.replace })
  const child = fork(path('./simulation-worker.ts'), {
    cwd: path('../..'),
    env: { ...process.env, SHARDWISE_PLANTED: planted, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
    execArgv: ['--import', path('./planted-loader.mjs'), '--import', 'tsx', '-C', 'shardwise-source'],
  })
  try {
    for (let seed = 1; seed <= seeds; seed++) {
      const report = await new Promise<Report>((resolve, reject) => {
        child.removeAllListeners()
        child.once('message', (message) => resolve(message as Report))
        child.once('exit', (code) => reject(new Error(`The process with '${bug.name}' ended with ${code} at seed ${seed}`)))
        child.send({ seed, shrinks: false } satisfies Order)
      })
      if (report.violations.length > 0) return report
    }
    return undefined
  } finally {
    child.removeAllListeners()
    child.kill()
  }
}
