/** The server's hints speak HTTP; whoever sits at the command line is told the same in commands. */
const HINTS: Readonly<Record<string, string>> = {
  DOMAIN_EXISTS: 'Choose another name; `millrace domains` lists those that are there',
  GATE_FAILED:
    'Mend what got worse, allow more with `millrace generations change DOMAIN --gate \'{"margin": 0.05}\'`, or switch with --force REASON',
  GENERATION_ENDED:
    '`millrace generations list DOMAIN` says what there is, `millrace generations show DOMAIN ID` what became of it',
  INVALID_REQUEST: '`millrace help COMMAND` says what it takes',
  NOTHING_CHANGES: 'Change something, or add --no-copy to compute every vector anew',
  NOTHING_TO_ROLL_BACK:
    'The one before is gone after its soak time, or there never was one; `millrace generations start` builds another',
  SCHEDULE_AT_WORK:
    '`millrace schedules show NAME` says how far it is; `millrace schedules pause NAME` ends it',
  SCHEDULE_EXISTS: 'Choose another name; `millrace schedules` lists those that are there',
  THRESHOLDS_SETTLED:
    '`millrace domains set DOMAIN --threshold dense=0.4` changes those of the live generation',
  UNAUTHORIZED: 'Set MILLRACE_API_KEY to one of the keys that the server was started with',
  UNKNOWN_DOMAIN: '`millrace domains` lists them, `millrace domains create NAME` makes one',
  UNKNOWN_GENERATION: '`millrace generations list DOMAIN` lists them; one that has ended has nothing to read',
  UNKNOWN_SCHEDULE: '`millrace schedules` lists them; one goes with its domain',
}

/** What to do about an error of the server: in commands where there are some, else in its own words. */
export const hintOf = (error: {
  readonly code: string
  readonly hint?: string | undefined
}): string | undefined => HINTS[error.code] ?? error.hint

/** Fields that are arguments at the command line. */
const ARGUMENTS = new Set(['documentId', 'query', 'text', 'texts', 'a', 'b', 'name'])

/** The server names the field of a request that is wrong; whoever sits at the command line wrote an option. */
export function messageFor(code: string, message: string): string {
  if (code !== 'INVALID_REQUEST') return message
  return message.replace(/^(?:body|querystring)\.(\w+)[^:]*:/, (_, field: string) => {
    if (ARGUMENTS.has(field)) return `${field}:`
    return field.length === 1
      ? `-${field}:`
      : `--${field.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}:`
  })
}
