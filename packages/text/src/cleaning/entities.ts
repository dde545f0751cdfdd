/** The names of U+00A0 to U+00FF, in order. */
const LATIN =
  'nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml'.split(
    ' ',
  )
const NAMED: ReadonlyMap<string, number> = new Map([
  ...LATIN.map((name, index): [string, number] => [name, 0xa0 + index]),
  ['amp', 0x26],
  ['lt', 0x3c],
  ['gt', 0x3e],
  ['quot', 0x22],
  ['apos', 0x27],
  ['ensp', 0x20],
  ['emsp', 0x20],
  ['thinsp', 0x20],
  ['zwnj', 0x200b],
  ['zwj', 0x200b],
  ['lrm', 0x200b],
  ['rlm', 0x200b],
  ['ndash', 0x2013],
  ['mdash', 0x2014],
  ['lsquo', 0x2018],
  ['rsquo', 0x2019],
  ['sbquo', 0x201a],
  ['ldquo', 0x201c],
  ['rdquo', 0x201d],
  ['bdquo', 0x201e],
  ['bull', 0x2022],
  ['hellip', 0x2026],
  ['lsaquo', 0x2039],
  ['rsaquo', 0x203a],
  ['euro', 0x20ac],
  ['trade', 0x2122],
  ['larr', 0x2190],
  ['uarr', 0x2191],
  ['rarr', 0x2192],
  ['darr', 0x2193],
  ['harr', 0x2194],
  ['minus', 0x2212],
  ['infin', 0x221e],
  ['ne', 0x2260],
  ['le', 0x2264],
  ['ge', 0x2265],
  ['OElig', 0x152],
  ['oelig', 0x153],
])

const REFERENCE_TAIL = /^#?\w{1,32};/
/** What a less-than sign may stand before without opening anything. */
const AFTER_LESS = /^(?:[\s\d=-]|$)/
const INVISIBLE = /[\p{Cc}\p{Cf}\u2028\u2029]/u
/** What the steps before this one would still have changed. */
const UNSTABLE = /[\p{M}\p{Cs}\p{Co}\p{Cn}\u1100-\u11ff\uff00-\uffef`]/u

/**
 * The character that a reference stands for (without & and ;): a space for any white space, '' for what nobody sees.
 * undefined when it is unknown, or resolving it would make markup of what is text.
 */
export function characterOf(reference: string, after: string): string | undefined {
  const code = codeOf(reference)
  if (code === undefined || code > 0x10ffff) return undefined
  if (code === 0x26) return REFERENCE_TAIL.test(after) ? undefined : '&'
  if (code === 0x3c) return AFTER_LESS.test(after) ? '<' : undefined
  const character = String.fromCodePoint(code)
  if (/\s/.test(character)) return ' '
  if (INVISIBLE.test(character)) return ''
  return UNSTABLE.test(character) || character.normalize('NFC') !== character ? undefined : character
}

function codeOf(reference: string): number | undefined {
  if (!reference.startsWith('#')) return NAMED.get(reference)
  return /^#[xX]/.test(reference) ? Number.parseInt(reference.slice(2), 16) : Number(reference.slice(1))
}
