export { coalesce, every, type Loop } from './loop.js'
export { type RunningWorker, startWorker, type WorkerDeps } from './worker.js'
