const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'it is in use. Stop the process that holds it, or choose another one (0 takes a free port)',
  EACCES: 'this user may not open it. Choose one above 1023 (0 takes a free port)',
  EADDRNOTAVAIL: 'that host is no address of this machine. Use 127.0.0.1',
  ENOTFOUND: 'that host has no address. Use 127.0.0.1',
}

/** A local service could not listen where it was told to. Nothing was started. `option` is the one to change. */
export class PortUnavailableError extends Error {
  override readonly name = 'PortUnavailableError'
  readonly code = 'ERR_SHARDWISE_PORT_UNAVAILABLE'
  readonly host: string
  readonly port: number
  readonly option: string

  constructor(place: { readonly host: string; readonly port: number; readonly option: string }, cause: NodeJS.ErrnoException) {
    const reason = REASONS[cause.code ?? ''] ?? cause.message
    super(`Cannot listen on ${place.host}:${place.port} (option \`${place.option}\`): ${reason}`, { cause })
    this.host = place.host
    this.port = place.port
    this.option = place.option
  }
}
