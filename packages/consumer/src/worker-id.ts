import { hostname } from 'node:os'
import type { Random } from '@shardwise/core/random'

/** No two workers may have the same id, nor two lives of one process: 12 random characters follow `beginning`, or the host's name. */
export function newWorkerId(beginning: string | undefined, random: Random): string {
  let ending = ''
  while (ending.length < 12) ending += Math.floor(random() * 36).toString(36)
  return `${beginning ?? hostname()}:${ending}`
}
