import type { Random } from '@shardwise/core/random'

const SUFFIX_LENGTH = 12

/**
 * A worker id that no other process has, nor this one in an earlier life: `name` and a random suffix. The lease protocol depends on it (a
 * row that names us was written by us).
 */
export function uniqueWorkerId(name: string, random: Random): string {
  let suffix = ''
  while (suffix.length < SUFFIX_LENGTH) suffix += Math.floor(random() * 36).toString(36)
  return `${name}-${suffix}`
}
