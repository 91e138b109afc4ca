import { InvalidOptionError } from '../options.js'

/** The option as it is, or InvalidOptionError: the SDK takes anything and fails later, in words that do not name the option. */
export function checkedEndpoint(option: string, endpoint: string): string {
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
    throw new InvalidOptionError(option, 'a URL that begins with http:// or https://', endpoint)
  }
  return endpoint
}

/** A client goes where it was made to go: an endpoint given with it would be ignored, and data go elsewhere than was said. */
export function refuseEndpointBesideClient(endpoint: string | undefined): void {
  if (endpoint === undefined) return
  throw new InvalidOptionError('endpoint', 'left out where `client` is given: it keeps its own endpoint', endpoint)
}

/** The SDK's "Region is missing", said so that a person knows what to do. Any other error comes back as it is. */
export function explained(error: unknown): unknown {
  if (!(error instanceof Error) || error.message !== 'Region is missing') return error
  return new InvalidOptionError(
    'region',
    'given, or set in AWS_REGION or in the AWS profile (an endpoint does not imply one)',
    undefined,
  )
}
