export { KinesisModelError } from './kinesis-error.js'
export { KinesisModel, type KinesisModelOptions } from './kinesis-model.js'
