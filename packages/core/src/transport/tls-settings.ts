import type { ConnectionOptions } from 'node:tls'
import type { KinesisClient } from '@aws-sdk/client-kinesis'

/** What decides whom a connection trusts and as whom it comes. Proxies and other ways of connecting are a handler's own. */
const SETTINGS = [
  'ca',
  'cert',
  'checkServerIdentity',
  'ciphers',
  'crl',
  'key',
  'maxVersion',
  'minVersion',
  'passphrase',
  'pfx',
  'rejectUnauthorized',
  'secureContext',
  'servername',
] as const

/**
 * The TLS settings of the request handler of a client, wherever the SDK's two handlers for Node keep them: HTTP/1.1 in its agent, HTTP/2 in
 * `nodeHttp2ConnectOptions`. They know them from their first call on.
 */
export function tlsSettings(client: Pick<KinesisClient, 'config'>): ConnectionOptions {
  const handler = client.config.requestHandler as { readonly httpHandlerConfigs?: () => unknown }
  const configs = handler.httpHandlerConfigs?.()
  const given = member(member(configs, 'httpsAgent'), 'options') ?? member(configs, 'nodeHttp2ConnectOptions')
  const settings: Record<string, unknown> = {}
  for (const name of SETTINGS) {
    const value = member(given, name)
    if (value !== undefined) settings[name] = value
  }
  return settings
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}
