const HAN = /\p{Script=Han}/u
const LATIN = /\p{Script=Latin}{2}/u
/** Languages whose texts are not in Latin letters, as far as the models that are known go. */
const NOT_LATIN = new Set(['zh', 'ja', 'ko', 'ar', 'he', 'ru', 'uk', 'bg', 'el', 'th', 'hi', 'fa'])

/**
 * Whether a text is plainly in a script of none of the languages that a model is for. Of a model for many languages, or
 * for unknown ones (`und`), nothing is.
 */
export function isForeign(languages: readonly string[], text: string): boolean {
  const read = languages.map((tag) => tag.toLowerCase().split('-')[0] ?? '')
  if (read.length === 0 || read.includes('und')) return false
  if (HAN.test(text)) return !read.some((tag) => tag === 'zh' || tag === 'ja')
  return LATIN.test(text) && read.every((tag) => NOT_LATIN.has(tag))
}
