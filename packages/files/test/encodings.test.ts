import { decode } from '@millrace/files/encodings'
import { describe, expect, test } from 'vitest'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

describe('decode', () => {
  test('UTF-8 first, with or without its mark', () => {
    expect(decode(Buffer.from('naïve 天'))).toEqual({ text: 'naïve 天', encoding: 'utf-8', warnings: [] })
    expect(decode(Buffer.from('\ufeffa'))).toMatchObject({ text: 'a', encoding: 'utf-8' })
    // What is declared does not count where the bytes are valid UTF-8.
    expect(decode(Buffer.from('天'), 'gb2312')).toMatchObject({ text: '天', encoding: 'utf-8' })
  })

  test('UTF-16 without a mark, by where its zeros are', () => {
    const text = 'The price is 5.\n价格为五元。\n'
    expect(decode(Buffer.from(text, 'utf16le'))).toMatchObject({ text, encoding: 'utf-16le' })
    expect(decode(Buffer.from(text, 'utf16le').swap16())).toMatchObject({ text, encoding: 'utf-16be' })
  })

  test('what is declared, where it fits', () => {
    const koi8 = hex('f7 cf da d7 d2 c1 d4') // Возврат
    expect(decode(koi8, 'koi8-r')).toMatchObject({ text: 'Возврат', encoding: 'koi8-r' })
    expect(decode(hex('c4 e3 ba c3 a3 ac ca c0 bd e7'), 'no-such-charset')).toMatchObject({
      text: '你好，世界',
      encoding: 'gb18030',
    })
  })

  test('a few words of Chinese, and of French', () => {
    expect(decode(hex('cd cb bb f5'))).toMatchObject({ text: '退货', encoding: 'gb18030' })
    expect(decode(Buffer.from('Un café crème', 'latin1'))).toMatchObject({
      text: 'Un café crème',
      encoding: 'windows-1252',
    })
  })

  test('Japanese mail, in seven bits', () => {
    expect(decode(Buffer.from('\x1b$B$"\x1b(B ok', 'latin1'))).toMatchObject({
      text: 'あ ok',
      encoding: 'iso-2022-jp',
    })
  })

  test('a short UTF-8 text with several damaged places too', () => {
    const bytes = Buffer.from('Größe und Maß für süße Äpfel, schöne Grüße. '.repeat(3))
    for (const at of [10, 40, 70]) bytes[at] = 0xff
    expect(decode(bytes)).toMatchObject({ encoding: 'utf-8', warnings: [expect.stringContaining('UTF-8')] })
  })

  test('UTF-8 with a damaged place stays UTF-8, and says so', () => {
    const bytes = Buffer.concat([Buffer.from('退货政策'.repeat(50)), hex('ff'), Buffer.from('完')])
    const decoded = decode(bytes)
    expect(decoded?.encoding).toBe('utf-8')
    expect(decoded?.text).toMatch(/策\ufffd完$/)
    expect(decoded?.warnings).toEqual(['1 places are not valid UTF-8; each stands as U+FFFD'])
  })

  test('bytes that are no text', () => {
    expect(decode(Buffer.from(Array.from({ length: 999 }, (_, at) => (at * 7919) % 251)))).toBeNull()
  })
})
