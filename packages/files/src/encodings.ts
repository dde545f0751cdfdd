import { analyse } from 'chardet'

/** A decoded text. */
export interface Decoded {
  readonly text: string
  /** WHATWG label of what it was decoded from. */
  readonly encoding: string
  readonly warnings: readonly string[]
}

/** Labels that `TextDecoder` takes for what the detector calls by other names. */
const LABELS: Readonly<Record<string, string>> = {
  'ISO-8859-1': 'windows-1252',
  'ISO-8859-9': 'windows-1254',
  'EUC-KR': 'euc-kr',
  'UTF-16 BE': 'utf-16be',
  'UTF-16 LE': 'utf-16le',
}

/** Tried when the detector names nothing that fits; the last one fits whatever has no control characters. */
const FALLBACKS = ['gb18030', 'big5', 'shift_jis', 'euc-kr', 'windows-1252']

/** Enough to know a text by. */
const SAMPLE_BYTES = 2 ** 16

/** The detector's confidence, of 100, from which its first word counts. */
const SURE = 35

/** Least share of usual characters in a text that was guessed. */
const USUAL_MIN = 0.9

/**
 * Decodes a text: by its byte order mark, else as UTF-8 where that is valid, else as `declared` (a label from its
 * HTML or its media type), as UTF-16 without a mark, or as what it looks like. null when it looks like no text at all.
 */
export function decode(bytes: Uint8Array, declared?: string): Decoded | null {
  const marked = byMark(bytes)
  if (marked !== null) return marked
  const utf8 = decodeAs(bytes, 'utf-8')
  if (utf8?.includes('\x1b$')) {
    const text = decodeAs(bytes, 'iso-2022-jp')
    if (text !== null) return { text, encoding: 'iso-2022-jp', warnings: [] }
  }
  const utf16 = bytes.includes(0) ? byZeros(bytes) : null
  if (utf16 !== null) return utf16
  if (utf8 !== null) return isProse(utf8) ? { text: utf8, encoding: 'utf-8', warnings: [] } : null
  const label = declared === undefined ? null : labelOf(declared)
  if (label !== null && !label.startsWith('utf-')) {
    const text = decodeAs(bytes, label)
    if (text !== null && isProse(text)) return { text, encoding: label, warnings: [] }
  }
  return damagedUtf8(bytes) ?? byLook(bytes)
}

function byMark(bytes: Uint8Array): Decoded | null {
  const [a, b, c] = bytes
  const encoding =
    a === 0xef && b === 0xbb && c === 0xbf
      ? 'utf-8'
      : a === 0xff && b === 0xfe
        ? 'utf-16le'
        : a === 0xfe && b === 0xff
          ? 'utf-16be'
          : null
  if (encoding === null) return null
  const text = decodeAs(bytes, encoding)
  if (text !== null) return { text, encoding, warnings: [] }
  const lossy = new TextDecoder(encoding).decode(bytes)
  return { text: lossy, encoding, warnings: [damage(lossy, encoding)] }
}

/** UTF-16 without a mark: of the two orders the one that gives usual characters. */
function byZeros(bytes: Uint8Array): Decoded | null {
  if (bytes.length % 2 === 1) return null
  let best: { text: string; encoding: string; score: number } | null = null
  for (const encoding of ['utf-16le', 'utf-16be']) {
    const text = decodeAs(bytes, encoding)
    if (text === null) continue
    const sample = text.slice(0, SAMPLE_BYTES)
    // The wrong order turns spaces and line breaks into other characters, usual ones among them.
    const spaces = sample.match(/[ \n]/g)?.length ?? 0
    const score = usualShare(sample) + spaces / sample.length
    if (usualShare(sample) >= USUAL_MIN && (best === null || score > best.score)) {
      best = { text, encoding, score }
    }
  }
  return best === null ? null : { text: best.text, encoding: best.encoding, warnings: [] }
}

/** Many good sequences and hardly a bad one: a UTF-8 text that something cut or patched. */
function damagedUtf8(bytes: Uint8Array): Decoded | null {
  const text = new TextDecoder().decode(bytes)
  const bad = text.match(/�/g)?.length ?? 0
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is what is not ASCII
  const wide = text.match(/[^\x00-\x7f]/g)?.length ?? 0
  // In no other encoding do so many bytes come out as good sequences: of Chinese pairs one in six, of Latin hardly any.
  const good = wide - bad
  if (good < 4 || bad * 3 > good || !isProse(text)) return null
  return { text, encoding: 'utf-8', warnings: [damage(text, 'UTF-8')] }
}

const damage = (text: string, encoding: string): string =>
  `${text.match(/�/g)?.length ?? 0} places are not valid ${encoding}; each stands as U+FFFD`

function byLook(bytes: Uint8Array): Decoded | null {
  const sample = bytes.subarray(0, SAMPLE_BYTES)
  const matches = analyse(sample).filter(({ confidence }) => confidence >= 10)
  const named = matches.map(({ name }) => labelOf(LABELS[name] ?? name)).filter((label) => label !== null)
  // The detector is sure of sentences. Of a few words it is not, and those are checked for everyday Chinese first.
  const isSure = (matches[0]?.confidence ?? 0) >= SURE
  const chinese = !isSure && isCommonGb(sample) ? ['gb18030'] : []
  for (const encoding of new Set([...chinese, ...named, ...FALLBACKS])) {
    const text = decodeAs(bytes, encoding)
    if (text === null || !isProse(text)) continue
    if (usualShare(text.slice(0, SAMPLE_BYTES)) >= USUAL_MIN) return { text, encoding, warnings: [] }
  }
  return null
}

/** Whether nearly all pairs above ASCII are punctuation and first-level characters of GB 2312. */
function isCommonGb(bytes: Uint8Array): boolean {
  let pairs = 0
  let common = 0
  for (let at = 0; at < bytes.length; at++) {
    const lead = bytes[at] ?? 0
    if (lead < 0x80) continue
    const trail = bytes[++at] ?? 0
    pairs++
    const isLead = (lead >= 0xa1 && lead <= 0xa3) || (lead >= 0xb0 && lead <= 0xd7)
    if (isLead && trail >= 0xa1) common++
  }
  return pairs > 0 && common >= pairs * 0.9
}

/** The label that `TextDecoder` gives an encoding; null for one that it does not know. */
function labelOf(name: string): string | null {
  try {
    const label = new TextDecoder(name.trim()).encoding
    return label === 'gbk' ? 'gb18030' : label
  } catch {
    return null
  }
}

/** 0x80 to 0x9F of windows-1252; some versions of Node leave them as control characters. */
const HIGH_1252 = '€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ'

function decodeAs(bytes: Uint8Array, encoding: string): string | null {
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes)
    if (encoding !== 'windows-1252') return text
    return text.replace(/[\x80-\x9f]/g, (char) => HIGH_1252[char.charCodeAt(0) - 0x80] ?? char)
  } catch {
    return null
  }
}

/** Hardly any control character: what a text is and a picture is not. */
function isProse(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  const controls = text.slice(0, SAMPLE_BYTES).match(/[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f-\x9f]/g)?.length ?? 0
  return controls <= Math.min(text.length, SAMPLE_BYTES) * 0.01
}

const USUAL =
  /[\t\n\f\r -~\u00a0-\u024f\u0370-\u052f\u0590-\u06ff\u0900-\u097f\u0e00-\u0e7f\u1e00-\u1eff\u2010-\u2027\u2030-\u205e\u20a0-\u22ff\u2460-\u24ff\u2500-\u266f\u3000-\u30ff\u3105-\u312f\u3200-\u33ff\u4e00-\u9fff\uac00-\ud7a3\uff01-\uffe6]/g

/** Share of characters that texts are made of, private and rare ones left out. */
const usualShare = (text: string): number =>
  text === '' ? 1 : (text.match(USUAL)?.length ?? 0) / text.length
