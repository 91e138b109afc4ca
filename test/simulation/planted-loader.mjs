// Before tsx in a process with a planted bug: the sources are read with the bug in them.
import { register } from 'node:module'

register('./planted-hooks.mjs', import.meta.url, { data: JSON.parse(process.env.SHARDWISE_PLANTED) })
