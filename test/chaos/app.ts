import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { ServiceAnswer, ServiceCall, ServiceCalls } from './app-messages.js'
import { FACTS_FD, type Fact } from './facts.js'
import { machineNow } from './machine-time.js'
import { Trouble } from './trouble.js'

export interface AppOptions {
  readonly onFact: (app: App, fact: Fact) => void
  /** It ended, and nobody had asked for it. */
  readonly onFailure: (error: Error) => void
}

const ON_SOURCES = ['--no-warnings', '--import', 'tsx', '-C', 'shardwise-source']

/** The coordinator's side of a process. */
export class App {
  readonly name: string
  readonly #child: ChildProcess
  readonly exited: Promise<void>
  get pid(): number | undefined {
    return this.#child.pid
  }

  readonly #waiting = new Map<number, { readonly resolve: (output: never) => void; readonly reject: (error: Error) => void }>()
  #asked = 0
  #keeper: ChildProcess | undefined
  state: 'running' | 'paused' | 'stopping' | 'killed' | 'gone' = 'running'
  /** When its process stood still. */
  readonly stood: Trouble = new Trouble()

  constructor(name: string, file: string, { onFact, onFailure }: AppOptions) {
    this.name = name
    this.#child = fork(fileURLToPath(new URL(`./${file}`, import.meta.url)), {
      execArgv: ON_SOURCES,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc', 'pipe'],
    })
    let errors = ''
    this.#child.stderr!.on('data', (text) => {
      errors = `${errors}${text}`.slice(-4000)
    })
    const facts = createInterface({ input: this.#child.stdio[FACTS_FD] as Readable })
    facts.on('line', (line) => {
      // Cut short by death.
      if (line.endsWith('}')) onFact(this, JSON.parse(line) as Fact)
    })
    this.#child.on('message', (answer: ServiceAnswer) => {
      const waiting = this.#waiting.get(answer.id)
      this.#waiting.delete(answer.id)
      if ('error' in answer) waiting?.reject(new Error(answer.error))
      else waiting?.resolve(answer.output as never)
    })
    const read = once(facts, 'close')
    this.exited = once(this.#child, 'close').then(async ([code, signal]) => {
      await read
      const error = new Error(`${name} ended by itself (${signal ?? `exit code ${code}`})\n${errors}`)
      for (const { reject } of this.#waiting.values()) reject(error)
      if (this.state === 'running' || this.state === 'paused' || (this.state === 'stopping' && code !== 0)) onFailure(error)
      if (this.state !== 'killed') this.state = 'gone'
    })
  }

  say(message: object): void {
    if (this.#child.connected) this.#child.send(message, () => {})
  }

  ask<C extends ServiceCall>(call: C, input: ServiceCalls[C]['input']): Promise<ServiceCalls[C]['output']> {
    const id = this.#asked++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.say({ id, call, input })
    })
  }

  async stop(): Promise<void> {
    if (this.state === 'running' || this.state === 'paused') this.state = 'stopping'
    this.say({ say: 'stop' })
    await this.exited
  }

  /** SIGKILL: no goodbye. */
  async kill(): Promise<void> {
    if (this.state !== 'gone') this.state = 'killed'
    this.#child.kill('SIGKILL')
    if (this.#keeper?.pid !== undefined) killGroup(this.#keeper.pid)
    await this.exited
  }

  /**
   * SIGSTOP and, later, SIGCONT. By a process of its own: should the coordinator die meanwhile, the app goes on, sees it, and ends.
   */
  async pause(forMs: number): Promise<void> {
    if (this.state !== 'running') return
    this.state = 'paused'
    const end = this.stood.begin(machineNow())
    const script = 'kill -STOP "$0" && sleep "$1" && kill -CONT "$0"'
    // In a group of its own: Ctrl-C does not reach it, and it can be ended with its `sleep`.
    const options = { stdio: 'ignore', detached: true } as const
    this.#keeper = spawn('sh', ['-c', script, `${this.#child.pid}`, (forMs / 1000).toFixed(3)], options)
    const [code] = await once(this.#keeper, 'exit')
    this.#keeper = undefined
    end(machineNow())
    // It may have been killed or told to stop meanwhile.
    if ((this.state as App['state']) !== 'paused') return
    if (code !== 0) throw new Error(`${this.name} could not be stopped and continued (sh ended with ${code})`)
    this.state = 'running'
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has just ended.
  }
}
