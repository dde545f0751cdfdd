/** The server's hints speak HTTP; whoever sits at the command line is told the same in commands. */
const HINTS: Readonly<Record<string, string>> = {
  DOMAIN_EXISTS: 'Choose another name; `millrace domains` lists those that are there',
  INVALID_REQUEST: '`millrace help COMMAND` says what it takes',
  UNAUTHORIZED: 'Set MILLRACE_API_KEY to one of the keys that the server was started with',
  UNKNOWN_DOMAIN: '`millrace domains` lists them, `millrace domains create NAME` makes one',
}

/** What to do about an error of the server: in commands where there are some, else in its own words. */
export const hintOf = (error: {
  readonly code: string
  readonly hint?: string | undefined
}): string | undefined => HINTS[error.code] ?? error.hint
