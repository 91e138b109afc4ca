/** Length of every key here, all ASCII: a partition key of a usual size. */
export const KEY_CHARACTERS = 16

/**
 * `count` partition keys of 16 characters, `different` of them different, taken in turn. Every call makes new strings, as a producer
 * gets them from its input: V8 keeps the hash of a string once it was a key, so strings used before would be found faster.
 */
export function freshKeys(count: number, different: number): string[] {
  const text = Buffer.from(
    Array.from({ length: different }, (_, i) => `partition-${String(i).padStart(6, '0')}`).join(''),
    'latin1',
  )
  return Array.from({ length: count }, (_, i) => {
    const start = (i % different) * KEY_CHARACTERS
    return text.toString('latin1', start, start + KEY_CHARACTERS)
  })
}
