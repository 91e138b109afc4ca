// Before tsx in a process with a planted bug: the source of one file is read with the bug in it.
import { register } from 'node:module'

register('./planted-hooks.mjs', import.meta.url, { data: JSON.parse(process.env.SHARDWISE_PLANTED) })
