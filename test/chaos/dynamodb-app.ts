/** dynalite in a process of its own, which tells each write to a lease that has landed. */
import { type FaultHandle, type LocalServices, type ObservedCall, startLocal } from '@shardwise/local'
import { tell } from './facts.js'
import { machineNow } from './machine-time.js'
import { answerWith } from './service-app.js'

const CALLS = ['UpdateItem', 'PutItem', 'GetItem', 'Scan', 'DeleteItem', 'DescribeTable']

let local: LocalServices | undefined
let failing: FaultHandle[] = []

answerWith({
  async start() {
    local = await startLocal({ kinesis: false })
    local.faults.on('UpdateItem', { observe: written, times: Number.POSITIVE_INFINITY })
    return local.dynamodbEndpoint
  },
  async fail(on) {
    for (const fault of failing.splice(0)) fault.remove()
    const rule = { fail: { code: 'InternalServerError' }, times: Number.POSITIVE_INFINITY }
    if (on) failing = CALLS.map((operation) => local!.faults.on(operation, { ...rule, service: 'dynamodb' }))
    return undefined
  },
})

interface Update {
  readonly Key: { readonly leaseKey?: { readonly S: string } }
  readonly UpdateExpression: string
  readonly ExpressionAttributeNames: Readonly<Record<string, string>>
  readonly ExpressionAttributeValues: Readonly<Record<string, { readonly S?: string; readonly N?: string }>>
}

function written({ input, outcome }: ObservedCall): void {
  const update = input as unknown as Update
  const leaseKey = update.Key.leaseKey?.S
  if (outcome.kind !== 'answered' || leaseKey === undefined) return
  const set = new Map<string, string>()
  for (const [, name, value] of update.UpdateExpression.matchAll(/(#\w+) = (:\w+)/g)) {
    const given = update.ExpressionAttributeValues[value!]
    set.set(update.ExpressionAttributeNames[name!]!, given?.S ?? given?.N ?? '')
  }
  const [owner, checkpoint, sub] = ['leaseOwner', 'checkpoint', 'checkpointSubSequenceNumber'].map((name) => set.get(name))
  tell(
    {
      ...{ fact: 'row', leaseKey },
      ...(owner !== undefined && { owner }),
      ...(checkpoint !== undefined && { checkpoint, subSequenceNumber: Number(sub ?? 0) }),
    },
    machineNow(),
  )
}
