import type { Random } from '@shardwise/core/random'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const PREFIX_LENGTH = 20

/**
 * Ids that no other producer gives: 120 random bits, drawn with the first id, and a counter. Two of a million producers draw the same with a
 * probability below 10^-24.
 */
export class RecordIds {
  readonly #random: Random
  #prefix = ''
  #count = 0

  constructor(random: Random) {
    this.#random = random
  }

  next(): string {
    if (this.#prefix === '') {
      for (let i = 0; i < PREFIX_LENGTH; i++) this.#prefix += ALPHABET[Math.floor(this.#random() * ALPHABET.length)]
    }
    return `${this.#prefix}.${(this.#count++).toString(36)}`
  }
}
