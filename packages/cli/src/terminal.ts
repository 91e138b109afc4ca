/** What a command needs of the process it runs in. */
export interface Terminal {
  out(text: string): void
  error(text: string): void
  /** Resolves when the user (Ctrl-C), the system (SIGTERM) or a closing window (SIGHUP) asks for the end. */
  readonly stopped: Promise<void>
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * The terminal of this process. While it is open, the first signal of SIGNALS asks for an orderly end; a second one ends the process, as it
 * would without us.
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
    for (const signal of SIGNALS) process.on(signal, this.#stop)
    // Whoever read the output may be gone (`| head -1`, a closed window): no reason to end, and least of all without cleaning up. Never taken
    // off, for the last line may fail after the end.
    process.stdout.on('error', () => {})
    process.stderr.on('error', () => {})
    return this
  }

  close(): void {
    for (const signal of SIGNALS) process.off(signal, this.#stop)
  }

  out(text: string): void {
    process.stdout.write(text)
  }

  error(text: string): void {
    process.stderr.write(text)
  }
}
