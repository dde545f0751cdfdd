import { parentPort, workerData } from 'node:worker_threads'
import { CodedError } from '@millrace/errors'
import { createInference } from './inference.js'
import type { ThreadData, ToThread } from './protocol.js'

// The entry of the inference thread; the host starts it (host.ts).
if (parentPort === null) throw new CodedError('INTERNAL', 'thread.js must be started as a worker thread')
const port = parentPort
const inference = createInference(
  workerData as ThreadData,
  (message, transfer) => port.postMessage(message, transfer),
  () => port.close(),
)
port.on('message', (message: ToThread) => inference.receive(message))
