import { connect, createServer, type Server, type Socket } from 'node:net'
import { type Random, systemRandom } from '@shardwise/core/random'
import { CALM, Flow, type Weather } from './flow.js'
import { machineNow } from './machine-time.js'
import { RequestCount } from './request-count.js'
import { Trouble } from './trouble.js'

/**
 * Whether the service is there for this app:
 * - `refusing`: connections are reset as soon as they are made, and those that are there break;
 * - `closed`: nobody listens, and those that are there break;
 * - `swallowing`: connections are made and stay, and every byte vanishes. Those that were there never recover;
 * - `silent`: the same, but what vanished arrives once it is `open` again.
 */
export type Reach = 'open' | 'refusing' | 'closed' | 'swallowing' | 'silent'

interface Connection {
  readonly client: Socket
  readonly service: Socket
  readonly up: Flow
  readonly down: Flow
  isDead: boolean
}

/** What a link has really done to connections: a fault that met none is none. */
export interface LinkEffects {
  /** Connections that were reset. */
  broken: number
  /** Attempts that were reset. */
  refused: number
  /** Connections on which nothing arrived any more. */
  halfOpen: number
  /** Answers that ended early. */
  truncated: number
  swallowedBytes: number
  /** Pieces that came later than they were sent, for latency, bandwidth or silence. */
  latePieces: number
}

/** In one second of machine time. */
export interface LinkSecond {
  connects: number
  requests: number
}

/** Below the ports that systems give out by themselves: while a link is closed nobody else gets its port. */
const FIRST_PORT = 12_000
const PORTS = 18_000

/** The network between one app and one service, on a port of its own. */
export class FaultLink implements AsyncDisposable {
  readonly #service: { readonly host: string; readonly port: number }
  readonly #random: Random
  readonly #connections = new Set<Connection>()
  #port = 0
  #server: Server | undefined
  #reach: Reach = 'open'
  weather: Weather = CALM
  readonly trouble: Trouble = new Trouble()
  readonly seconds: Map<number, LinkSecond> = new Map()
  readonly effects: LinkEffects = { broken: 0, refused: 0, halfOpen: 0, truncated: 0, swallowedBytes: 0, latePieces: 0 }
  #endReachTrouble: ((at: number) => void) | undefined
  #reopening: Promise<void> = Promise.resolve()
  #isGone = false

  private constructor(endpoint: string, random: Random) {
    const { hostname, port } = new URL(endpoint)
    this.#service = { host: hostname, port: Number(port) }
    this.#random = random
  }

  static async to(endpoint: string, random: Random): Promise<FaultLink> {
    const link = new FaultLink(endpoint, random)
    while (link.#port === 0) {
      // Not by the seed: two runs on one machine must not try the same ports.
      const port = FIRST_PORT + Math.floor(systemRandom() * PORTS)
      if (await link.#listen(port)) link.#port = port
    }
    return link
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Whether there is a connection that something could happen to. */
  get isUsed(): boolean {
    return this.#connections.size > 0
  }

  /** Resolves when it is so: a port that was closed has to be had again. */
  set(reach: Reach): Promise<void> {
    this.#reopening = this.#reopening.then(() => this.#set(reach))
    return this.#reopening
  }

  async #set(reach: Reach): Promise<void> {
    if (this.#isGone) return
    const now = machineNow()
    this.#endReachTrouble?.(now)
    this.#endReachTrouble = reach === 'open' ? undefined : this.trouble.begin(now)
    this.#reach = reach
    if (reach === 'refusing' || reach === 'closed') this.#breakAll()
    if (reach === 'swallowing') this.halfOpen()
    if (reach === 'closed') await this.#unlisten()
    else while (this.#server === undefined) if (!(await this.#listen(this.#port))) await new Promise((go) => setTimeout(go, 20))
    for (const connection of this.#connections) {
      connection.up.pump()
      connection.down.pump()
      // It went while nothing was heard.
      if (connection.service.destroyed && !connection.isDead) this.#break(connection)
    }
  }

  /** All connections break. */
  reset(): void {
    this.trouble.moment(machineNow())
    this.#breakAll()
  }

  /** All connections of now stay, and nothing arrives on them any more. */
  halfOpen(): void {
    this.#deafen([...this.#connections])
  }

  /** Of what comes from the service each connection lets so many bytes more through, and then breaks. */
  truncate(afterBytes: number): void {
    this.#untilGone([...this.#connections])
    for (const { down } of this.#connections) down.cutAfter(afterBytes)
  }

  /** What is still on its way arrives before `weather` counts as over. */
  get settlesAt(): number {
    return Math.max(machineNow(), ...[...this.#connections].flatMap(({ up, down }) => [up.settlesAt, down.settlesAt]))
  }

  /** For good. Its client has gone: this is no trouble. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isGone = true
    await this.#reopening
    this.#endReachTrouble?.(machineNow())
    for (const connection of this.#connections) this.#break(connection)
    await this.#unlisten()
  }

  #deafen(connections: readonly Connection[]): void {
    this.#untilGone(connections)
    this.effects.halfOpen += connections.length
    for (const connection of connections) {
      connection.isDead = true
      connection.up.die()
      connection.down.die()
    }
  }

  /** There is trouble for as long as one of them is there. */
  #untilGone(connections: readonly Connection[]): void {
    const end = this.trouble.begin(machineNow())
    let left = connections.length
    const gone = (): void => void (--left <= 0 && end(machineNow()))
    if (left === 0) end(machineNow())
    for (const { client } of connections) client.once('close', gone)
  }

  #accept(client: Socket): void {
    this.#second().connects++
    client.on('error', () => {})
    if (this.#reach === 'refusing') {
      this.trouble.moment(machineNow())
      this.effects.refused++
      return void client.resetAndDestroy()
    }
    const service = connect(this.#service.port, this.#service.host)
    service.on('error', () => {})
    const requests = new RequestCount()
    const flow = (from: Socket, to: Socket, onBytes: (bytes: Buffer) => void): Flow =>
      new Flow(from, to, {
        weather: () => this.weather,
        isHeld: () => this.#reach === 'silent',
        random: this.#random,
        onBytes,
        onSwallowed: (bytes) => {
          this.effects.swallowedBytes += bytes
        },
        onLate: () => {
          this.effects.latePieces++
        },
        onCut: () => {
          this.effects.truncated++
          this.#break(connection)
        },
      })
    const connection: Connection = {
      client,
      service,
      up: flow(client, service, (bytes) => {
        this.#second().requests += requests.count(bytes)
      }),
      down: flow(service, client, () => {}),
      isDead: false,
    }
    this.#connections.add(connection)
    if (this.#reach === 'swallowing') this.#deafen([connection])
    client.on('close', () => {
      this.#connections.delete(connection)
      service.destroy()
    })
    service.on('close', () => {
      // What it has sent before is still on its way.
      if (connection.isDead || this.#reach === 'silent') return
      if (service.readableEnded) return
      this.trouble.moment(machineNow())
      this.#break(connection)
    })
  }

  #breakAll(): void {
    this.effects.broken += this.#connections.size
    for (const connection of this.#connections) this.#break(connection)
  }

  #break({ client, service }: Connection): void {
    client.resetAndDestroy()
    service.destroy()
  }

  #second(): LinkSecond {
    const at = Math.floor(machineNow() / 1000)
    let second = this.seconds.get(at)
    if (second === undefined) {
      second = { connects: 0, requests: 0 }
      this.seconds.set(at, second)
    }
    return second
  }

  async #listen(port: number): Promise<boolean> {
    const server = createServer({ noDelay: true }, (client) => this.#accept(client))
    const listens = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (listens) this.#server = server
    return listens
  }

  async #unlisten(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server !== undefined) await new Promise((resolve) => server.close(resolve))
  }
}
