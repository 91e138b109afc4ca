export interface VirtualTimer {
  cancel(): void
}

const STEPS_A_ROUND = 100

interface Node extends VirtualTimer {
  readonly due: number
  readonly order: number
  run: (() => void) | undefined
}

/**
 * The one time of a simulated world, in milliseconds from 0: what is due runs in the order of its time, and of its scheduling where times are
 * equal. After each step all promise callbacks run, so that the same world takes the same course whenever it is run.
 */
export class VirtualTime {
  readonly #heap: Node[] = []
  #now = 0
  #order = 0
  #steps = 0

  get now(): number {
    return this.#now
  }

  /** What has run so far. */
  get steps(): number {
    return this.#steps
  }

  /** Runs `run` once at `due`, at the earliest after the present step. */
  at(due: number, run: () => void): VirtualTimer {
    const node: Node = {
      due: Math.max(due, this.#now),
      order: this.#order++,
      run,
      cancel: () => {
        node.run = undefined
      },
    }
    this.#push(node)
    return node
  }

  after(delayMs: number, run: () => void): VirtualTimer {
    return this.at(this.#now + delayMs, run)
  }

  /** Lets everything happen that is due until `end`. `goOn` is asked after each step. */
  pass(end: number, goOn: () => boolean = () => true): Promise<void> {
    return new Promise((resolve, reject) => {
      let isOver = false
      let hasStepped = false
      const step = (): void => {
        if (isOver) return
        try {
          isOver = (hasStepped && !goOn()) || !this.#step(end)
          hasStepped = true
          if (isOver) resolve()
        } catch (error) {
          isOver = true
          reject(error)
        }
      }
      // Node runs every promise callback that there is, however long the chain, between any two of these, and looks for sockets and timers, of which
      // there are none, only once in each round.
      const round = (): void => {
        for (let i = 0; i < STEPS_A_ROUND; i++) setImmediate(step)
        setImmediate(() => isOver || round())
      }
      round()
    })
  }

  /** False when nothing is left that is due until `end`. */
  #step(end: number): boolean {
    for (let next = this.#heap[0]; next !== undefined && next.due <= end; next = this.#heap[0]) {
      this.#pop()
      const { run } = next
      if (run === undefined) continue
      this.#now = next.due
      this.#steps++
      run()
      return true
    }
    this.#now = Math.max(this.#now, end)
    return false
  }

  #push(node: Node): void {
    const heap = this.#heap
    let at = heap.length
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (isBefore(heap[parent]!, node)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = node
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (isBefore(last, heap[child]!)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}

function isBefore(a: Node, b: Node): boolean {
  return a.due < b.due || (a.due === b.due && a.order < b.order)
}
