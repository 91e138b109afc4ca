export { checkConnection } from './checked-connection.js'
export type { ControlRetryOptions } from './control-retry.js'
export type { SenderChoice } from './data-sender.js'
export type { HttpOptions } from './http-handler.js'
export {
  type AwsConnection,
  connectKinesis,
  type KinesisConnection,
  type KinesisConnectionOptions,
} from './kinesis-connection.js'
export type { ReadChoice, WireEncoding } from './read-negotiation.js'
