import { type Rewritten, rewrite } from '../edits.js'

// The line breaks of Unicode's newline guidelines (UAX 14, class BK, CR, LF and NL): CRLF, CR, VT, FF, NEL, LS, PS.
const BREAKS = /\r\n?|[\v\f\u0085\u2028\u2029]/g

/** Every line break becomes LF. */
export const newlines = (text: string): Rewritten | null => rewrite(text, BREAKS, () => '\n')
