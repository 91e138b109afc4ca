/** What a command needs of the process it runs in. */
export interface Terminal {
  out(text: string): void
  error(text: string): void
  /** Resolves when the user (Ctrl-C) or the system (SIGTERM) asks for the end. */
  readonly stopped: Promise<void>
}

/**
 * The terminal of this process. While it is open, the first SIGINT or SIGTERM asks for an orderly end; a second one ends the process, as
 * it would without us.
 */
export class ProcessTerminal implements Terminal {
  readonly stopped: Promise<void>
  readonly #stop: () => void

  constructor() {
    let resolve: () => void = () => {}
    this.stopped = new Promise((settle) => {
      resolve = settle
    })
    this.#stop = () => {
      this.close()
      resolve()
    }
  }

  open(): this {
    process.on('SIGINT', this.#stop)
    process.on('SIGTERM', this.#stop)
    return this
  }

  close(): void {
    process.off('SIGINT', this.#stop)
    process.off('SIGTERM', this.#stop)
  }

  out(text: string): void {
    process.stdout.write(text)
  }

  error(text: string): void {
    process.stderr.write(text)
  }
}
