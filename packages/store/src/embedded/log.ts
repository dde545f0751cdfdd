/** Where the embedded database reports to; a pino logger fits. */
export interface EmbeddedLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

export const silent: EmbeddedLog = { info: () => undefined, warn: () => undefined }
