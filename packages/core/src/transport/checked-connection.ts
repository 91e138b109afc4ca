import { choiceOption, functionsOption, InvalidOptionError, refuseUnknownOptions, stringOption } from '../options.js'
import { checkedEndpoint, refuseEndpointBesideClient } from './endpoint.js'
import type { AwsConnection } from './kinesis-connection.js'

/** Throws InvalidOptionError for what cannot work, before anything is opened: the SDK tells only some of it, with the first call. */
export function checkConnection({ client, region, endpoint, credentials, wire, sender }: AwsConnection): void {
  if (client !== undefined) {
    functionsOption('client', client, ['send'], 'a KinesisClient')
    refuseEndpointBesideClient(endpoint)
  }
  if (endpoint !== undefined) checkedEndpoint('endpoint', endpoint)
  if (region !== undefined) {
    // The SDK's rule: https://smithy.io/2.0/spec/endpoint-traits.html, a region becomes part of a host name.
    stringOption('region', region, {
      pattern: /^[a-z\d]([a-z\d-]{0,61}[a-z\d])?$/i,
      says: 'the name of a region, such as us-east-1',
    })
  }
  if (credentials !== undefined && typeof credentials !== 'function') {
    const pair = typeof credentials === 'object' && credentials !== null ? credentials : { accessKeyId: 0, secretAccessKey: 0 }
    if (typeof pair.accessKeyId !== 'string' || typeof pair.secretAccessKey !== 'string') {
      throw new InvalidOptionError(
        'credentials',
        'a provider function, or accessKeyId and secretAccessKey as strings',
        credentials,
      )
    }
  }
  choiceOption('sender', sender, ['lean', 'sdk'], 'lean')
  if (wire === undefined) return
  if (typeof wire !== 'object' || wire === null) throw new InvalidOptionError('wire', 'an object with reads or writes', wire)
  refuseUnknownOptions(wire, ['reads', 'writes'], 'wire')
  choiceOption('wire.reads', wire.reads, ['json', 'cbor', 'negotiate'], 'negotiate')
  choiceOption('wire.writes', wire.writes, ['json', 'cbor'], 'json')
  if (client === undefined) return
  for (const direction of ['reads', 'writes'] as const) {
    if (wire[direction] !== 'cbor') continue
    throw new InvalidOptionError(
      `wire.${direction}`,
      "left out or 'json' where `client` is given: it keeps its own protocol",
      wire[direction],
    )
  }
}
