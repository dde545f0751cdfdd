import { parse } from 'content-disposition'

/** Characters that a name of a file keeps at most, the last ones: its extension is among them. */
const NAME_CHARS_MAX = 255

/**
 * The name of a file: what the header Content-Disposition says, else the last part of the path; '' when neither has
 * one. Never with a folder, a control character or half of a surrogate pair.
 */
export function nameOf(disposition: string | undefined, url: URL): string {
  const said = disposition === undefined ? '' : cleaned(filenameIn(disposition))
  return said === '' ? cleaned(unescaped(url.pathname)) : said
}

const filenameIn = (disposition: string): string => {
  const { filename = '' } = parse(utf8Of(disposition)).parameters
  return unescaped(filename) // as browsers do: many servers write %E4 there
}

function cleaned(name: string): string {
  const last = name.slice(Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\')) + 1)
  const plain = last.replace(/\p{Cc}/gu, '').trim()
  return plain === '.' || plain === '..' ? '' : plain.slice(-NAME_CHARS_MAX).toWellFormed()
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Node reads headers as Latin-1; many servers write UTF-8. */
export function utf8Of(header: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(header, 'latin1'))
  } catch {
    return header
  }
}
