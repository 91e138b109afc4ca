/** What the local service and its clients use in place of an AWS account. */
export const LOCAL_REGION = 'us-east-1'
export const LOCAL_CREDENTIALS: { accessKeyId: string; secretAccessKey: string } = {
  accessKeyId: 'local',
  secretAccessKey: 'local',
}
