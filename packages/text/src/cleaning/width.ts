import { type Rewritten, rewrite } from '../edits.js'

// Letters and digits; a half-width kana with its voice mark; a half-width kana alone.
const FORMS = /[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]|[\uff66-\uff9d][\uff9e\uff9f]?/g

/**
 * Full-width letters and digits become ASCII, half-width katakana full-width, as they are usually written. Chinese
 * and Japanese punctuation stays: it is what ends their sentences.
 */
export const fullWidth = (text: string): Rewritten | null =>
  rewrite(text, FORMS, (form) => {
    const usual = form.normalize('NFKC')
    // A voice mark that its kana cannot take stays what it was.
    return form.length === 2 && usual.length === 2 ? form.charAt(0).normalize('NFKC') + form.charAt(1) : usual
  })
