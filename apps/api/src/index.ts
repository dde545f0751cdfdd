export { type RunningApi, startApi } from './api.js'
export type { ApiDeps } from './deps.js'
export { type ErrorBody, STATUS } from './errors.js'
export { buildServer } from './server.js'
