export type {
  FaultControl,
  FaultHandle,
  FaultRule,
  FaultScope,
  ObservedCall,
  ServiceInput,
  WorkPhase,
} from './faults.js'
export type { Interruption } from './interrupted-subscription.js'
export { PortUnavailableError } from './port-unavailable-error.js'
export type { EntryRejection, PutRecordsEntryInput } from './rejected-entries.js'
export type { SigningKey } from './signature-v4.js'
export { type LocalOptions, type LocalServices, startLocal } from './start-local.js'
