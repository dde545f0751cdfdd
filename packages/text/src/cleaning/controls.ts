import { type Rewritten, rewrite } from '../edits.js'

/**
 * C0 and C1 controls except tab and the line breaks (those are the newlines step's), zero-width space, bidirectional
 * marks, word joiner and invisible operators, BOM, interlinear annotation. Zero-width joiner and non-joiner stay:
 * emoji are built with one, Persian and Indic spelling needs both.
 */
const INVISIBLE = new RegExp(
  '[\\u0000-\\u0008\\u000e-\\u001f\\u007f-\\u0084\\u0086-\\u009f' +
    '\\u200b\\u200e\\u200f\\u202a-\\u202e\\u2060-\\u2064\\u2066-\\u2069\\ufeff\\ufff9-\\ufffb]+',
  'g',
)

/** Removes characters that nobody sees. */
export const controls = (text: string): Rewritten | null => rewrite(text, INVISIBLE, () => '')
