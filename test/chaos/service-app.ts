/** What the processes of both services have in common: they are asked, and answer. */
import type { ServiceAnswer, ServiceCall, ServiceCalls, ServiceQuestion } from './app-messages.js'
import { endWithCoordinator, tellOfProcess } from './facts.js'

export type ServiceWork = {
  readonly [call in ServiceCall]?: (input: ServiceCalls[call]['input']) => Promise<ServiceCalls[call]['output']>
}

export function answerWith(work: ServiceWork): void {
  endWithCoordinator()
  tellOfProcess()
  process.on('message', ({ id, call, input }: ServiceQuestion) => {
    const answer = (message: ServiceAnswer): void => {
      if (process.connected) process.send!(message)
    }
    const run = work[call] as ((input: unknown) => Promise<unknown>) | undefined
    if (run === undefined) return answer({ id, error: `No call ${call}` })
    run(input).then(
      (output) => answer({ id, output }),
      (error: unknown) => answer({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    )
  })
}
