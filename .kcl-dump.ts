import { DynamoDBClient, ListTablesCommand, ScanCommand } from '@aws-sdk/client-dynamodb'
const d = new DynamoDBClient({ endpoint: 'http://127.0.0.1:14569', region: 'us-east-1', credentials: { accessKeyId: 'any', secretAccessKey: 'any' } })
const short = (row) => Object.fromEntries(Object.entries(row).filter(([k]) => !/HashKey/.test(k)).map(([k, v]) => [k, v.S ?? v.N ?? v.SS ?? v]))
for (const TableName of (await d.send(new ListTablesCommand({}))).TableNames) {
  if (process.argv[2] && !TableName.startsWith(process.argv[2])) continue
  console.log('==', TableName)
  for (const row of (await d.send(new ScanCommand({ TableName }))).Items) console.log(JSON.stringify(short(row)).slice(0, 700))
}
d.destroy()
