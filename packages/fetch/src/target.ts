import { invalid, refusedScheme } from './errors.js'

const URL_CHARS_MAX = 8_192

/**
 * Reads a URL, or the target of a redirect, and refuses what is never fetched. Its host is as the URL standard has
 * it: `http://0x7f.1/` is 127.0.0.1 from here on.
 * @param base what it is relative to
 * @throws CodedError URL_INVALID, URL_REFUSED
 */
export function targetOf(text: string, base?: URL): URL {
  if (text.length > URL_CHARS_MAX) {
    throw invalid(`has ${text.length} characters, above ${URL_CHARS_MAX}`, 'Use a shorter one')
  }
  if (!URL.canParse(text, base?.href)) {
    throw invalid('cannot be read', 'Write it in full, as in https://example.com/manual.pdf')
  }
  const url = new URL(text, base)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw refusedScheme(url)
  if (url.username !== '' || url.password !== '') {
    throw invalid('has a name or a password in it', 'Submit the file itself, or a URL that is open')
  }
  url.hash = ''
  return url
}
