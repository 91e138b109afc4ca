const TERMINAL_MS = 500
const PIPE_MS = 5000

/** Shows how the run goes: one line that is redrawn on a terminal, a line every few seconds in a pipe. */
export class Progress {
  readonly #out: NodeJS.WriteStream
  readonly #line: () => string
  readonly #started = performance.now()
  #timer: NodeJS.Timeout | undefined

  constructor(out: NodeJS.WriteStream, line: () => string) {
    this.#out = out
    this.#line = line
  }

  start(): void {
    this.#timer = setInterval(() => this.#show(), this.#out.isTTY ? TERMINAL_MS : PIPE_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
    if (this.#timer !== undefined && this.#out.isTTY) this.#out.write('\r\x1b[K')
    this.#timer = undefined
  }

  /** Something happened that stays on the screen. */
  say(text: string): void {
    this.#out.write(`${this.#out.isTTY ? '\r\x1b[K' : ''}${this.#stamp()}  ${text}\n`)
  }

  #show(): void {
    if (!this.#out.isTTY) this.say(this.#line())
    else this.#out.write(`\r\x1b[K${`${this.#stamp()}  ${this.#line()}`.slice(0, (this.#out.columns ?? 80) - 1)}`)
  }

  #stamp(): string {
    return `${((performance.now() - this.#started) / 1000).toFixed(0).padStart(5)} s`
  }
}
