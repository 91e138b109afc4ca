/** What is known of the stream consumer that we want to use. */
export type ConsumerSeen =
  | { readonly is: 'unknown' }
  /** CREATING, ACTIVE, DELETING, or what the service says else. */
  | { readonly is: 'there'; readonly arn: string; readonly status: string }
  | { readonly is: 'missing' }
  /** We wanted to register it, and the service says that it exists, or that the stream is being changed; or too many look at once. */
  | { readonly is: 'busy' }

export type RegistrationStep =
  | { readonly do: 'describe' }
  | { readonly do: 'register' }
  /** Then describe. */
  | { readonly do: 'wait' }
  | { readonly do: 'use'; readonly arn: string }
  | { readonly do: 'give-up'; readonly because: 'missing' | 'deleting' }

/**
 * What to do about it. Looking comes before registering: of a fleet's workers all but the first find it, and the service allows four times as
 * many looks (20 a second in an account) as registrations (5).
 */
export function registrationStep(seen: ConsumerSeen, register: boolean): RegistrationStep {
  switch (seen.is) {
    case 'unknown':
      return { do: 'describe' }
    case 'missing':
      return register ? { do: 'register' } : { do: 'give-up', because: 'missing' }
    case 'busy':
      return { do: 'wait' }
    case 'there':
      if (seen.status === 'ACTIVE') return { do: 'use', arn: seen.arn }
      if (seen.status === 'DELETING' && !register) return { do: 'give-up', because: 'deleting' }
      return { do: 'wait' }
  }
}
