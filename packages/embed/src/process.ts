import { CodedError } from '@millrace/errors'
import type { StartMessage } from './host-process.js'
import { createInference, type Inference } from './inference.js'
import type { FromThread, ToThread } from './protocol.js'

// The entry of the inference process; the host starts it (host-process.ts).
if (process.send === undefined) throw new CodedError('INTERNAL', 'process.js must be started by fork')
// A host that has just gone is told nothing; its going is what ends this process.
const post = (message: FromThread) => {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined)
}
let inference: Inference | undefined
process.on('message', (message: StartMessage | ToThread) => {
  if (message.type !== 'start') inference?.receive(message)
  else inference = createInference(message.data, post, () => process.disconnect())
})
// The host ends this process in order; a signal to all of its group or service must not be quicker.
process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => undefined)
process.on('disconnect', () => process.exit())
