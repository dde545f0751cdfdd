/** White space within a line except U+0020: tab and Unicode's other space separators (general category Zs). */
export const ODD_SPACES = '\\t\\u00a0\\u1680\\u2000-\\u200a\\u202f\\u205f\\u3000'

/** White space within a line. Both are the inside of a character class. */
export const HORIZONTAL = ` ${ODD_SPACES}`
