/** The items, each with whether it is the last. One is taken ahead. */
export function* withLast<T>(items: Iterable<T>): Generator<readonly [item: T, last: boolean], void, undefined> {
  let held: readonly [T] | undefined
  for (const item of items) {
    if (held !== undefined) yield [held[0], false]
    held = [item]
  }
  if (held !== undefined) yield [held[0], true]
}
