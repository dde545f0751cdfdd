import pino, { type Logger } from 'pino'
import type { Settings } from './settings.js'

/** What the programs log to; JSON lines on standard error. */
export type Log = Logger

export const openLog = (level: Settings['logLevel'], name: string): Logger =>
  pino({ level, name }, pino.destination({ fd: 2, sync: false }))
