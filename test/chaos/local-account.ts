export const ACCOUNT = { region: 'us-east-1', credentials: { accessKeyId: 'local', secretAccessKey: 'local' } }
