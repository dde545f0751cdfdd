/** A small seeded generator (mulberry32): the same numbers in every run. */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export type Random = () => number

export const pick = <T>(random: Random, from: readonly T[]): T => {
  const value = from[Math.floor(random() * from.length)]
  if (value === undefined) throw new Error('nothing to pick from')
  return value
}

const ENGLISH =
  'account password invoice delivery parcel refund customer support window button setting browser message address number order receipt storage network server report summer river garden table letter answer question because before after usually never quickly the a this that every another small large early late new open closed'.split(
    ' ',
  )
const CHINESE = [
  ...'账户密码发票配送包裹退款客户支持窗口按钮设置浏览器消息地址号码订单收据存储网络服务器报告夏天河流花园桌子信件回答问题因为之前之后通常从不很快这个那个每个另一个小大早晚新开放关闭我们他们可以需要如果但是',
]

export function englishSentence(random: Random): string {
  const words = Array.from({ length: 5 + Math.floor(random() * 24) }, () => pick(random, ENGLISH))
  const [first = 'It', ...rest] = words
  return `${first.slice(0, 1).toUpperCase()}${first.slice(1)} ${rest.join(' ')}${pick(random, ['.', '.', '.', '?', '!'])}`
}

export function chineseSentence(random: Random): string {
  const clause = () =>
    Array.from({ length: 4 + Math.floor(random() * 16) }, () => pick(random, CHINESE)).join('')
  const clauses = Array.from({ length: 1 + Math.floor(random() * 3) }, clause)
  return clauses.join('，') + pick(random, ['。', '。', '。', '？', '！'])
}

/** Sentences to be joined: each brings its own separator (a space, a new paragraph, a heading). */
export interface Style {
  readonly sentence: (random: Random) => string
  readonly space: string
  readonly headings: boolean
}

export const STYLES: Readonly<Record<string, Style>> = {
  'English prose': { sentence: englishSentence, space: ' ', headings: false },
  'English with headings': { sentence: englishSentence, space: ' ', headings: true },
  Chinese: { sentence: chineseSentence, space: '', headings: false },
}

/** Sentences with what follows each. */
export function sentencesOf(random: Random, style: Style, count: number): string[] {
  return Array.from({ length: count }, () => {
    const sentence = style.sentence(random)
    const heading =
      style.headings && random() < 0.05 ? `\n\n## ${style.sentence(random).slice(0, 24).trim()}\n\n` : ''
    return sentence + (heading !== '' ? heading : random() < 0.2 ? '\n\n' : style.space)
  })
}

const SCRAPS = [
  'word',
  'Überraschung',
  ' ',
  '  ',
  '\n',
  '\n\n',
  '\t',
  '. ',
  '! ',
  '。',
  '，',
  '你好',
  '世界',
  '😀',
  '👩‍👩‍👧',
  '🇩🇪🇫🇷',
  'e\u0301',
  '\u0915\u094d\u0937',
  '# ',
  '## Title\n',
  '```\n',
  '~~~\n',
  '- item\n',
  '1. one\n',
  '| a | b |\n',
  '|---|---|\n',
  '---\n',
  'key: value\n',
  '<!--',
  '-->',
  '<!-- note -->',
  '`',
  '\r\n',
  '\r',
  '\u0000',
  '\u200b',
  '\ufeff',
  '\u00a0',
  '\u3000',
  '\u2028',
  '\u0301',
  '\u1100\u1161',
  '가',
  '\u11a8',
  'สวัสดีครับ',
  'مرحبا؟ ',
  '\ud83d',
  'Å',
  '\u212b',
  '\u1fef',
  '>',
  '::: ',
  '…',
  '”',
  'v1.2.3',
  '<b>',
  '</p>',
  '<br/>',
  '<script>',
  '</script>',
  '<',
  'b>',
  '&amp;',
  '&lt;',
  'lt;',
  '&#769;',
  '&#12;',
  '&nbsp;',
  '\f',
  '\u00ad',
  'Ａ',
  'ｶ',
  'ﾞ',
  '====',
  '----',
  '★★',
  '~~~',
  '= ',
  'x'.repeat(60),
]

/** Anything at all: mixed scripts, markup that opens and never closes, broken surrogates. */
export const scrap = (random: Random, parts: number): string =>
  Array.from({ length: parts }, () => pick(random, SCRAPS)).join('')
