import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import { type HashKeyRange, parseHashKey } from '@shardwise/core/hash-key'
import type { PendingCheckpoint } from '../checkpoints/pending-checkpoint.js'
import { formatPosition, type Position, parsePosition } from '../checkpoints/position.js'
import { type Lease, leaseKeyOf, type NewLease, shardIdOf } from './lease.js'
import type { MalformedLease } from './lease-store.js'
import type { ChangeableAttribute, LeaseChange, LeaseCondition } from './lease-writes.js'

export type Row = Record<string, AttributeValue>

/** Our names for the attributes, where they differ from KCL's (DynamoDBLeaseSerializer.java). */
const ATTRIBUTES: Record<Exclude<ChangeableAttribute, 'checkpoint' | 'pendingCheckpoint' | 'range'>, string> = {
  leaseOwner: 'leaseOwner',
  checkpointOwner: 'checkpointOwner',
  leaseCounter: 'leaseCounter',
  ownerSwitchesSinceCheckpoint: 'ownerSwitchesSinceCheckpoint',
  childShardIds: 'childShardIds',
  shardwiseOwner: 'swOwner',
  nextOwner: 'swNext',
  leaver: 'swLeaver',
}

/** KCL's names for what is one thing here: written or removed together. */
const PENDING = ['pendingCheckpoint', 'pendingCheckpointSubSequenceNumber', 'pendingCheckpointState']

export type ParsedRow =
  | { readonly kind: 'lease'; readonly lease: Lease }
  | { readonly kind: 'malformed'; readonly malformed: MalformedLease }
  /** A lease of somebody else, whose shard ids may be the same as ours. `of` says whose. */
  | { readonly kind: 'foreign'; readonly leaseKey: string; readonly of: string }
  /** A row of KCL 3.5's that shares the table (worker metrics, leader lock, migration state). */
  | { readonly kind: 'other' }

/** The one stream of a table. Streams of one name may be many, by account and region. */
export interface LeasedStream {
  readonly name: string
  /** Undefined where the endpoint does not tell. */
  readonly arn: string | undefined
}

/**
 * `stream`: whose leases these should be; a row that KCL made does not say of which stream it is. Undefined: the table is of several
 * streams, and each row says of which (KCL's DynamoDBMultiStreamLeaseSerializer.java: the attribute `streamName` is an identifier).
 */
export function parseRow(row: Row, stream: LeasedStream | undefined): ParsedRow {
  const leaseKey = row.leaseKey?.S
  const entityType = row.entityType?.S ?? 'LEASE'
  if (leaseKey === undefined || entityType !== 'LEASE' || row.leaseCounter === undefined) return { kind: 'other' }
  const stranger = whose(row, stream)
  if (stranger !== undefined) return { kind: 'foreign', leaseKey, of: stranger }
  const malformed = (reason: string): ParsedRow => ({ kind: 'malformed', malformed: { leaseKey, reason } })
  const streamId = row.streamName?.S
  const shardId = row.shardId?.S ?? shardIdOf({ leaseKey, streamId })
  if (streamId !== undefined && leaseKey !== leaseKeyOf(streamId, shardId))
    return malformed(`its key is not ${JSON.stringify(leaseKeyOf(streamId, shardId))}`)
  const leaseCounter = wholeNumber(row.leaseCounter)
  if (leaseCounter === undefined) return malformed(`leaseCounter is ${JSON.stringify(row.leaseCounter)}, not a whole number`)
  const checkpoint = position(row.checkpoint, row.checkpointSubSequenceNumber)
  if (checkpoint === undefined) {
    const { checkpoint: text, checkpointSubSequenceNumber: sub } = row
    return malformed(`checkpoint ${JSON.stringify(text)} with sub-sequence number ${JSON.stringify(sub)} is no position`)
  }
  const pendingCheckpoint = parsePending(row)
  if (pendingCheckpoint === 'malformed') {
    const { pendingCheckpoint: text, pendingCheckpointSubSequenceNumber: sub } = row
    return malformed(`pendingCheckpoint ${JSON.stringify(text)} with sub-sequence number ${JSON.stringify(sub)} is no position`)
  }
  const start = parseHashKey(row.startingHashKey?.S ?? '')
  const end = parseHashKey(row.endingHashKey?.S ?? '')
  const lease: Lease = {
    leaseKey,
    shardId,
    streamId,
    streamCreatedAt: wholeNumber(row.swStreamCreated),
    leaseOwner: row.leaseOwner?.S,
    checkpointOwner: row.checkpointOwner?.S,
    leaseCounter,
    ownerSwitchesSinceCheckpoint: wholeNumber(row.ownerSwitchesSinceCheckpoint) ?? 0,
    checkpoint,
    pendingCheckpoint,
    parentShardIds: row.parentShardId?.SS ?? [],
    childShardIds: row.childShardIds?.SS ?? [],
    range: start !== undefined && end !== undefined ? { start, end } : undefined,
    startAt: wholeNumber(row.swStartAt),
    shardwiseOwner: row.swOwner?.S,
    nextOwner: row.swNext?.S,
    leaver: row.swLeaver?.S,
  }
  return { kind: 'lease', lease }
}

/** Whose lease it is, unless it is one of ours. */
function whose(row: Row, stream: LeasedStream | undefined): string | undefined {
  const severalStreams = row.streamName !== undefined
  if (stream === undefined) return severalStreams ? undefined : `an application that reads one stream${called(row.swStream?.S)}`
  if (severalStreams) return 'an application that reads several streams'
  const of = row.swStream?.S
  if (of === undefined || of === stream.name || of === stream.arn) return undefined
  // Where an endpoint does not tell ARNs, the name has to do.
  return stream.arn === undefined && of.endsWith(`:stream/${stream.name}`) ? undefined : `stream ${of}`
}

function called(name: string | undefined): string {
  return name === undefined ? '' : ` (${name})`
}

function wholeNumber(value: AttributeValue | undefined): number | undefined {
  const number = Number(value?.N)
  return Number.isSafeInteger(number) && number >= 0 ? number : undefined
}

/** To guess at it, or to leave it out, would decide on somebody's transaction. */
function parsePending(row: Row): PendingCheckpoint | 'malformed' | undefined {
  const { pendingCheckpoint, pendingCheckpointSubSequenceNumber, pendingCheckpointState } = row
  if (pendingCheckpoint === undefined || pendingCheckpoint.NULL === true) return undefined
  const at = position(pendingCheckpoint, pendingCheckpointSubSequenceNumber)
  return at === undefined ? 'malformed' : { position: at, state: pendingCheckpointState?.B }
}

function position(text: AttributeValue | undefined, sub: AttributeValue | undefined): Position | undefined {
  const checkpoint = text?.S
  const checkpointSubSequenceNumber = Number(sub?.N ?? 0)
  if (checkpoint === undefined) return undefined
  try {
    return parsePosition({ checkpoint, checkpointSubSequenceNumber })
  } catch {
    return undefined
  }
}

/**
 * Only here is `entityType` written: KCL before 3.5 does not know it, and keeps it. Empty sets are refused by DynamoDB, so left out. A range
 * of one hash key (a split may leave one) is left out too: KCL throws when it reads such a row (HashKeyRangeForLease.java), and so
 * could read none of the table.
 */
export function newRow(lease: NewLease, stream: LeasedStream | undefined, leaseCounter = 0): Row {
  const { range, streamId, streamCreatedAt } = lease
  return {
    leaseKey: { S: lease.leaseKey },
    entityType: { S: 'LEASE' },
    ...(streamId !== undefined && { streamName: { S: streamId }, shardId: { S: shardIdOf(lease) } }),
    ...(stream !== undefined && { swStream: { S: stream.arn ?? stream.name } }),
    ...(streamCreatedAt !== undefined && { swStreamCreated: { N: `${streamCreatedAt}` } }),
    leaseCounter: { N: `${leaseCounter}` },
    ownerSwitchesSinceCheckpoint: { N: '0' },
    ...checkpointAttributes(lease.checkpoint),
    ...(lease.parentShardIds.length > 0 && { parentShardId: { SS: [...lease.parentShardIds] } }),
    ...(range && range.start < range.end && rangeAttributes(range)),
    ...(lease.startAt !== undefined && { swStartAt: { N: `${lease.startAt}` } }),
  }
}

function checkpointAttributes(position: Position): Row {
  const { checkpoint, checkpointSubSequenceNumber } = formatPosition(position)
  return { checkpoint: { S: checkpoint }, checkpointSubSequenceNumber: { N: `${checkpointSubSequenceNumber}` } }
}

function pendingAttributes({ position: at, state }: PendingCheckpoint): Row {
  const { checkpoint, checkpointSubSequenceNumber } = formatPosition(at)
  return {
    pendingCheckpoint: { S: checkpoint },
    pendingCheckpointSubSequenceNumber: { N: `${checkpointSubSequenceNumber}` },
    ...(state && { pendingCheckpointState: { B: state } }),
  }
}

function rangeAttributes({ start, end }: HashKeyRange): Row {
  return { startingHashKey: { S: `${start}` }, endingHashKey: { S: `${end}` } }
}

export interface ConditionExpression {
  readonly ConditionExpression: string
  readonly ExpressionAttributeNames: Record<string, string>
  readonly ExpressionAttributeValues: Row
}

export interface UpdateExpressions extends ConditionExpression {
  readonly UpdateExpression: string
}

/** Every name goes by an alias, since which words DynamoDB reserves is its own affair. */
class Aliases {
  readonly names: Record<string, string> = {}
  readonly values: Row = {}
  readonly name = (attribute: string): string => {
    this.names[`#${attribute}`] = attribute
    return `#${attribute}`
  }
  readonly value = (alias: string, given: AttributeValue): string => {
    this.values[`:${alias}`] = given
    return `:${alias}`
  }
}

export function conditionExpression(where: LeaseCondition): ConditionExpression {
  const { names, values, name, value } = new Aliases()
  const ConditionExpression = conditions(where, name, value).join(' AND ')
  return { ConditionExpression, ExpressionAttributeNames: names, ExpressionAttributeValues: values }
}

export function updateExpressions({ where, set }: LeaseChange): UpdateExpressions {
  const { names, values, name, value } = new Aliases()
  const { checkpoint, pendingCheckpoint, range, ...rest } = set
  const written: Row = {
    ...(checkpoint && checkpointAttributes(checkpoint)),
    ...(pendingCheckpoint && pendingAttributes(pendingCheckpoint)),
    ...(range && rangeAttributes(range)),
  }
  const removed = 'pendingCheckpoint' in set ? PENDING.filter((attribute) => !(attribute in written)) : []
  for (const [key, given] of Object.entries(rest) as [keyof typeof rest, (typeof rest)[keyof typeof rest]][]) {
    if (given === undefined) removed.push(ATTRIBUTES[key])
    else if (typeof given === 'number') written[ATTRIBUTES[key]] = { N: `${given}` }
    else if (typeof given === 'string') written[ATTRIBUTES[key]] = { S: given }
    else if (given.length > 0) written[ATTRIBUTES[key]] = { SS: [...given] }
  }
  const sets = Object.entries(written).map(([attribute, given]) => `${name(attribute)} = ${value(`new_${attribute}`, given)}`)
  const removes = removed.map(name)
  return {
    UpdateExpression: `SET ${sets.join(', ')}${removes.length > 0 ? ` REMOVE ${removes.join(', ')}` : ''}`,
    ConditionExpression: conditions(where, name, value).join(' AND '),
    ExpressionAttributeNames: names,
    ExpressionAttributeValues: values,
  }
}

function conditions(
  where: LeaseCondition,
  name: (attribute: string) => string,
  value: (alias: string, given: AttributeValue) => string,
): string[] {
  const clauses: string[] = [`attribute_exists(${name('leaseKey')})`]
  if (where.leaseCounter !== undefined)
    clauses.push(`${name('leaseCounter')} = ${value('counter', { N: `${where.leaseCounter}` })}`)
  for (const key of ['leaseOwner', 'checkpointOwner', 'shardwiseOwner'] as const) {
    if (!(key in where)) continue
    const owner = where[key]
    const attribute = name(ATTRIBUTES[key])
    clauses.push(owner === undefined ? `attribute_not_exists(${attribute})` : `${attribute} = ${value(key, { S: owner })}`)
  }
  if (where.actualOwner !== undefined) {
    const owner = value('actualOwner', { S: where.actualOwner })
    const [next, current] = [name('leaseOwner'), name('checkpointOwner')]
    clauses.push(`(${current} = ${owner} OR (attribute_not_exists(${current}) AND ${next} = ${owner}))`)
  }
  if ('range' in where) clauses.push(`attribute_not_exists(${name('startingHashKey')})`)
  if (where.checkpoint !== undefined) {
    const { checkpoint } = formatPosition(where.checkpoint)
    clauses.push(`${name('checkpoint')} = ${value('checkpoint', { S: checkpoint })}`)
  }
  if (where.ended === false) clauses.push(`${name('checkpoint')} <> ${value('ended', { S: 'SHARD_END' })}`)
  return clauses
}
