export const CREDENTIALS = { accessKeyId: 'key', secretAccessKey: 'secret' }
export const REGION = 'us-east-1'
