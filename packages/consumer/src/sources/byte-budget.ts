/** The room of one shard in a ByteBudget. */
export interface ShardRoom {
  /**
   * Before a read that brings at most `most` bytes: how many it may bring, `most` or less. Pending while the shard holds something and there is
   * no room for more; rejects with the signal's reason. The bytes are held from then on, until `settle`; one read at a time.
   */
  enter(most: number, signal: AbortSignal): Promise<number>
  /** After the read: what it brought, 0 when it failed. Held until freed. Does nothing without a read. */
  settle(bytes: number): void
  /** These bytes are not in memory any more. */
  free(bytes: number): void
  /** The shard's worker has finished: everything is freed. */
  leave(): void
  /** A read waits for room. */
  readonly waiting: boolean
}

interface Member {
  /** Read and not freed. */
  buffered: number
  /** May be brought by the read under way. */
  expected: number
  waiting: Waiting | undefined
}

interface Waiting {
  readonly most: number
  readonly admit: (bytes: number) => void
}

/**
 * What all shards of a consumer may hold in memory, in payload bytes. Half of it is divided evenly into parts, one a shard; the other half is
 * common, and whoever holds more than its part holds the rest there.
 *
 * A shard that holds nothing never waits: it is told to read no more than there is room for, its part at least. So handlers that hang,
 * whatever they hold, cannot keep other shards from being read. What waits, in line, is reading ahead.
 *
 * An answer can be limited in records only, so one may bring more than it was allowed. That is counted too, and the next wait for it.
 */
export class ByteBudget {
  readonly #half: number
  readonly #holding = new Set<Member>()
  readonly #line = new Set<Member>()
  #members = 0
  /** One member's part, and what all together hold beyond theirs. */
  #part = 0
  #beyond = 0

  /** `bytes`: at least 2. */
  constructor(bytes: number) {
    this.#half = bytes / 2
  }

  /** All that is held, with what reads under way may bring. */
  get held(): number {
    let sum = 0
    for (const member of this.#holding) sum += held(member)
    return sum
  }

  /** The room of one shard more. */
  join(): ShardRoom {
    const member: Member = { buffered: 0, expected: 0, waiting: undefined }
    this.#divide(this.#members + 1)
    return {
      enter: (most, signal) => this.#enter(member, most, signal),
      settle: (bytes) => {
        if (member.expected > 0) this.#hold(member, member.buffered + bytes, 0)
      },
      free: (bytes) => this.#hold(member, Math.max(0, member.buffered - bytes), member.expected),
      leave: () => {
        this.#hold(member, 0, 0)
        this.#divide(this.#members - 1)
        this.#serve()
      },
      get waiting() {
        return member.waiting !== undefined
      },
    }
  }

  async #enter(member: Member, most: number, signal: AbortSignal): Promise<number> {
    signal.throwIfAborted()
    const now = this.#line.size > 0 && held(member) > 0 ? undefined : this.#grant(member, most)
    if (now !== undefined) return now
    return new Promise((resolve, reject) => {
      const quit = (): void => {
        this.#line.delete(member)
        member.waiting = undefined
        this.#serve()
        reject(signal.reason)
      }
      const admit = (bytes: number): void => {
        signal.removeEventListener('abort', quit)
        resolve(bytes)
      }
      signal.addEventListener('abort', quit, { once: true })
      member.waiting = { most, admit }
      this.#line.add(member)
    })
  }

  /** Undefined: wait. */
  #grant(member: Member, most: number): number | undefined {
    const common = this.#half - (this.#beyond - this.#beyondPart(member))
    const room = this.#part + Math.max(0, common) - held(member)
    const granted = most <= room ? most : held(member) === 0 ? room : undefined
    if (granted !== undefined) this.#hold(member, member.buffered, granted)
    return granted
  }

  #hold(member: Member, buffered: number, expected: number): void {
    const less = buffered + expected < held(member)
    this.#beyond -= this.#beyondPart(member)
    member.buffered = buffered
    member.expected = expected
    this.#beyond += this.#beyondPart(member)
    if (held(member) > 0) this.#holding.add(member)
    else this.#holding.delete(member)
    if (less) this.#serve()
  }

  #divide(members: number): void {
    this.#members = members
    this.#part = Math.max(1, Math.floor(this.#half / members))
    this.#beyond = 0
    for (const member of this.#holding) this.#beyond += this.#beyondPart(member)
  }

  #beyondPart(member: Member): number {
    return Math.max(0, held(member) - this.#part)
  }

  /** In order, but for shards that hold nothing any more: these do not wait. */
  #serve(): void {
    if (this.#line.size === 0) return
    let inOrder = true
    for (const member of [...this.#line]) {
      const { waiting } = member
      if (waiting === undefined || (!inOrder && held(member) > 0)) continue
      const granted = this.#grant(member, waiting.most)
      if (granted === undefined) {
        inOrder = false
        continue
      }
      this.#line.delete(member)
      member.waiting = undefined
      waiting.admit(granted)
    }
  }
}

function held({ buffered, expected }: Member): number {
  return buffered + expected
}
