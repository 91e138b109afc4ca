/** dynalite in a process of its own, which tells each write to a lease that has landed. */
import { type FaultHandle, type LocalServices, type ObservedCall, startLocal } from '@shardwise/local'
import { tell } from './facts.js'
import { machineNow } from './machine-time.js'
import { answerWith } from './service-app.js'

const WRITES = ['UpdateItem', 'PutItem', 'DeleteItem']
const CALLS = [...WRITES, 'GetItem', 'Scan', 'DescribeTable']

let local: LocalServices | undefined
let failing: FaultHandle[] = []

answerWith({
  async start() {
    local = await startLocal({ kinesis: false })
    for (const write of WRITES) local.faults.on(write, { observe: written, times: Number.POSITIVE_INFINITY })
    return local.dynamodbEndpoint
  },
  async fail(on) {
    for (const fault of failing.splice(0)) fault.remove()
    const rule = { fail: { code: 'InternalServerError' }, times: Number.POSITIVE_INFINITY }
    if (on) failing = CALLS.map((operation) => local!.faults.on(operation, { ...rule, service: 'dynamodb' }))
    return undefined
  },
})

type Row = Readonly<Record<string, { readonly S?: string; readonly N?: string } | undefined>>

interface Write {
  readonly Key?: Row
  readonly Item?: Row
  readonly UpdateExpression?: string
  readonly ExpressionAttributeNames?: Readonly<Record<string, string>>
}

function written({ input, outcome }: ObservedCall): void {
  if (outcome.kind !== 'answered') return
  const { Key, Item, UpdateExpression = '', ExpressionAttributeNames = {} } = input as Write
  const leaseKey = (Key ?? Item)?.leaseKey?.S
  if (leaseKey === undefined) return
  const isSet = ([alias, name]: [string, string]): boolean => name === 'swOwner' && UpdateExpression.includes(`${alias} = `)
  const taken = Object.entries(ExpressionAttributeNames).some(isSet)
  // A deletion answers with nothing; an update with the whole row, for so the library asks.
  const row = Item ?? (outcome.output as { readonly Attributes?: Row }).Attributes ?? {}
  const [owner, checkpoint, sub] = [ownerOf(row), row.checkpoint?.S, row.checkpointSubSequenceNumber?.N]
  tell(
    {
      ...{ fact: 'row', leaseKey, taken },
      ...(owner !== undefined && { owner }),
      ...(checkpoint !== undefined && { checkpoint, subSequenceNumber: Number(sub ?? 0) }),
    },
    machineNow(),
  )
}

/** By docs/lease-protocol.md, "The row". A worker's id begins with its name. */
function ownerOf({ checkpointOwner, leaseOwner, swNext }: Row): string | undefined {
  const isOffered = checkpointOwner === undefined && swNext !== undefined && swNext.S === leaseOwner?.S
  return isOffered ? undefined : (checkpointOwner ?? leaseOwner)?.S?.split(':')[0]
}
