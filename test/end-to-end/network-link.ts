import { connect, createServer, type Server, type Socket } from 'node:net'

/**
 * The network between one worker and a service, which can fall silent: connections stay, packets do not arrive. When it speaks again
 * what was on its way arrives late, as it would.
 */
export class NetworkLink implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #held: (() => void)[] = []
  #silent = false
  #down = false
  /** Connections that were refused while it was down. */
  refused = 0

  private constructor(host: string, port: number) {
    this.#server = createServer((client) => {
      if (this.#down) {
        this.refused++
        return void client.destroy()
      }
      const service = connect(port, host)
      this.#carry(client, service)
      this.#carry(service, client)
    })
  }

  /** To the service at this URL. */
  static async to(endpoint: string): Promise<NetworkLink> {
    const { hostname, port } = new URL(endpoint)
    const link = new NetworkLink(hostname, Number(port))
    await new Promise<void>((resolve) => link.#server.listen(0, '127.0.0.1', resolve))
    return link
  }

  get endpoint(): string {
    const address = this.#server.address()
    if (typeof address !== 'object' || address === null) throw new Error('The link is closed')
    return `http://127.0.0.1:${address.port}`
  }

  silence(): void {
    this.#silent = true
  }

  speak(): void {
    this.#silent = false
    for (const act of this.#held.splice(0)) act()
  }

  /** As when the service restarts: all connections break, and new ones are refused until `rise`. */
  fall(): void {
    this.#down = true
    for (const socket of this.#sockets) socket.destroy()
  }

  rise(): void {
    this.#down = false
  }

  #carry(from: Socket, to: Socket): void {
    this.#sockets.add(from)
    const whenHeard = (act: () => void): void => {
      if (this.#silent) this.#held.push(act)
      else act()
    }
    from.on('data', (bytes) => whenHeard(() => to.write(bytes)))
    from.on('error', () => {})
    from.on('close', () => {
      this.#sockets.delete(from)
      whenHeard(() => to.end())
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
