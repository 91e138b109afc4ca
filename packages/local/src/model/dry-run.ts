import { KinesisModelError } from './kinesis-error.js'

/** A dry run that would be allowed ends in this error, and does nothing. */
export function refuseDryRun(dryRun: boolean | undefined): void {
  if (dryRun !== true) return
  throw new KinesisModelError('DryRunOperationException', 'The request was rejected because the DryRun parameter was specified.')
}
