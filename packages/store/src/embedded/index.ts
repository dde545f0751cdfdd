export type { EmbeddedLog } from './log.js'
export { type EmbeddedDatabase, type EmbeddedOptions, openEmbedded } from './open.js'
