import type { Balance } from './account.js'
import type { LinkEffects } from './fault-link.js'
import { KINDS } from './steps.js'

/** What a run by lot was made of. */
export interface Evidence {
  readonly minutes: number
  readonly done: Readonly<Record<string, number>>
  readonly skipped: number
  readonly effects: LinkEffects
  readonly balance: Pick<Balance, 'acknowledged' | 'delivered' | 'failed' | 'checkpoints' | 'takeovers' | 'throttled'>
  /** What producers would have put in this time, had nothing held them up. */
  readonly asked: number
  /** Handler calls, by the way of reading. Undefined: nobody was to read so. */
  readonly calls: { readonly polling: number | undefined; readonly fanOut: number | undefined }
}

/** Two bags of steps: a run that is as long has everything in it. */
const WHOLE_MINUTES = 2
/** Deaths, pauses, restarts and throttling take some of it. */
const LEAST_SHARE = 0.5

/** What did not happen, in words. A run proves nothing about it, and has not passed. */
export function missingFrom({ minutes, done, skipped, effects, balance, asked, calls }: Evidence): string[] {
  const { acknowledged, delivered, failed, checkpoints, takeovers, throttled } = balance
  const happened = Object.values(done).reduce((sum, count) => sum + count, 0)
  const always: [boolean, string][] = [
    [acknowledged >= LEAST_SHARE * asked, `only ${acknowledged} of ${asked} records were acknowledged`],
    [delivered > 0, 'nothing was delivered'],
    // Whatever happens is over long before their time is.
    [failed === 0, `${failed} records failed, though none had to`],
    [happened > skipped, `only ${happened} of ${happened + skipped} steps could be carried out`],
  ]
  const whole: [boolean, string][] = [
    ...KINDS.map((kind): [boolean, string] => [(done[kind] ?? 0) > 0, `nothing of the kind ${kind} happened`]),
    ...Object.entries(effects).map(([effect, count]): [boolean, string] => [count > 0, `the network's ${effect} is 0`]),
    [throttled.writes > 0, 'the service throttled nothing'],
    [checkpoints > 0, 'no checkpoint moved'],
    [takeovers > 0, 'no lease was taken from a worker that had died or stood still'],
    [calls.polling !== 0, 'nothing was read by polling'],
    [calls.fanOut !== 0, 'nothing was read by enhanced fan-out'],
  ]
  const expected = minutes < WHOLE_MINUTES ? always : [...always, ...whole]
  return expected.filter(([holds]) => !holds).map(([, text]) => `no proof: ${text}`)
}
