// Submits one document, and is killed between the commit and the enqueueing: the queue it is handed is the knife.
import { findDomain, openBackends, openLog, readSettings, submitDocuments } from '@millrace/flow'

const settings = readSettings(process.env)
const log = openLog('silent', 'submit-and-die')
const { db } = await openBackends(settings, log)
const queues = {
  addPrepare: async () => {
    process.kill(process.pid, 'SIGKILL')
    await new Promise(() => undefined)
  },
}
const domain = await findDomain({ db }, 'crash')
await submitDocuments({ db, queues, log, settings }, domain, [{ id: 'orphan', text: 'Nobody enqueued me.' }])
