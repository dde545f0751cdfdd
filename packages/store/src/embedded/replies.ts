import { cstring, HEADER_BYTES, int32, message, readCstring } from './frames.js'

/** What the server itself says; the engine answers everything else. */

export interface Complaint {
  /** FATAL: the connection is closed after it. Default ERROR. */
  readonly severity?: 'ERROR' | 'FATAL'
  /** SQLSTATE: https://www.postgresql.org/docs/18/errcodes-appendix.html */
  readonly code: string
  readonly message: string
  readonly hint?: string
}

export function errorResponse(complaint: Complaint): Buffer {
  const severity = complaint.severity ?? 'ERROR'
  const fields = [`S${severity}`, `V${severity}`, `C${complaint.code}`, `M${complaint.message}`]
  if (complaint.hint !== undefined) fields.push(`H${complaint.hint}`)
  return message('E', ...fields.map(cstring), Buffer.from([0]))
}

/** The severity of an ErrorResponse, not translated (field V). */
export function severityOf(error: Buffer): string {
  let at = HEADER_BYTES
  while (at < error.length && error[at] !== 0) {
    const field = readCstring(error, at)
    if (field.text.startsWith('V')) return field.text.slice(1)
    at = field.next
  }
  return 'ERROR'
}

/** Answers to SSLRequest and GSSENCRequest: not here, go on in the clear. */
export const NO_ENCRYPTION = Buffer.from('N')

export const askPassword = (): Buffer => message('R', int32(3))

/** The start-up packet asked for a newer minor version or for options of it: 3.0 and none of them. */
export const negotiateVersion = (options: readonly string[]): Buffer =>
  message('v', int32(0), int32(options.length), ...options.map(cstring))

/** Everything between a right password and the first statement. */
export function welcome(parameters: Readonly<Record<string, string>>, connectionId: number): Buffer {
  const statuses = Object.entries(parameters).map(([name, value]) =>
    message('S', cstring(name), cstring(value)),
  )
  return Buffer.concat([
    message('R', int32(0)),
    ...statuses,
    message('K', int32(connectionId), int32(0)),
    message('Z', Buffer.from('I')),
  ])
}

export const syncMessage = (): Buffer => message('S')

export const queryMessage = (sql: string): Buffer => message('Q', cstring(sql))

export const closeStatement = (name: string): Buffer => message('C', Buffer.from('S'), cstring(name))

export const copyFail = (reason: string): Buffer => message('f', cstring(reason))
