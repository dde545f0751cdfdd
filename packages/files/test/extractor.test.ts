import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Extracted, type Extractor, openExtractor } from '@millrace/files'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { writePdf } from './support/pdf.js'
import { paragraph, wordXml, writeOffice, writeZip } from './support/zip.js'

const FIXTURES = fileURLToPath(new URL('./fixtures/', import.meta.url))
const MIB = 2 ** 20

const fixture = (name: string): Promise<Buffer> => readFile(join(FIXTURES, name))
const lines = (...text: string[]): string => text.join('\n')

describe('openExtractor', () => {
  let extractor: Extractor
  beforeAll(() => {
    extractor = openExtractor()
  })
  afterAll(() => extractor.close())

  const extract = async (name: string): Promise<Extracted> =>
    extractor.extract({ name, bytes: await fixture(name) })
  const failure = (name: string, bytes: Uint8Array | string, mediaType?: string) =>
    extractor.extract({ name, mediaType, bytes: Buffer.from(bytes as string) }).then(
      ({ text }) => ({ code: `none: ${text.slice(0, 100)}`, message: '', hint: undefined }),
      (error: { code: string; message: string; hint?: string }) => error,
    )

  describe('reads', () => {
    test('DOCX: headings, lists, tables', async () => {
      expect(await extract('returns.docx')).toEqual({
        format: 'docx',
        title: 'Returns 退货',
        encoding: null,
        layout: [],
        warnings: [],
        text: lines(
          '# Returns 退货',
          '',
          'Money comes back within ten days. 退款在十天内到账。',
          '',
          '## Deadlines',
          '',
          '- Clothing: thirty days',
          '- Food: not at all',
          '',
          '1. Print the label',
          '2. Hand in the parcel',
          '',
          '## 费用',
          '',
          '| Country | Price |',
          '| --- | --- |',
          '| Germany | 4.90 € |',
          '| 中国 \\| 香港 | 35 元 含税 |',
          '',
          'Last words, set bold',
        ),
      })
    })

    test('XLSX: every sheet that is seen, with its rows as they are shown', async () => {
      const { text, layout, title, warnings } = await extract('prices.xlsx')
      expect(text).toBe(
        lines(
          '## Prices 价格',
          '',
          '| Article | Price | Since | Discount | Stock |',
          '| --- | --- | --- | --- | --- |',
          '| Tea 茶 | 4.9 | 2024-02-29 | 12.5% | TRUE |',
          '| Cup \\| large with handle | 0.3 | 2023-12-01 08:30 | 50% | FALSE |',
          '',
          '## Opening',
          '',
          '| Day | Opens |',
          '| --- | --- |',
          '| Monday | 09:15 |',
        ),
      )
      expect(title).toBe('Price list')
      expect(layout).toEqual([
        { kind: 'sheet', number: 1, name: 'Prices 价格', start: 0 },
        { kind: 'sheet', number: 4, name: 'Opening', start: text.indexOf('## Opening') },
      ])
      expect(warnings).toEqual(['1 formulas have no stored result; they are blank'])
    })

    test('PPTX: slides with their titles, lists, tables and notes', async () => {
      const { text, layout, title } = await extract('onboarding.pptx')
      expect(text).toBe(
        lines(
          '# Welcome 欢迎',
          '',
          'For everybody who is new',
          '',
          '# The first day',
          '',
          '- Fetch your badge',
          '  - At the front desk',
          '- Meet your team',
          '',
          'Say where the front desk is.',
          '',
          '前台在一楼。',
          '',
          '# Who to ask',
          '',
          '| Topic | Person |',
          '| --- | --- |',
          '| Laptop | 李雷 |',
          '',
          'Ask at any time.',
        ),
      )
      expect(title).toBe('Onboarding')
      expect(layout).toEqual([
        { kind: 'slide', number: 1, name: 'Welcome 欢迎', start: 0 },
        { kind: 'slide', number: 2, name: 'The first day', start: text.indexOf('# The first') },
        { kind: 'slide', number: 3, name: 'Who to ask', start: text.indexOf('# Who') },
      ])
    })

    test('PDF: pages, paragraphs over lines, larger letters as headings, Chinese', async () => {
      const { text, layout, title } = await extract('warranty.pdf')
      const chinese = '每台机器自交付之日起享有两年保修。'.repeat(6)
      expect(text).toBe(
        lines(
          '# Warranty',
          '',
          'Every machine has a warranty of two years from the day on which it was delivered. It covers faults of material and workmanship, and it does not cover what wears out, such as belts, filters and brushes.',
          '',
          '## How to claim',
          '',
          'Write to us with the serial number and a picture of the fault.',
          'Part Years',
          'Motor 5',
          'Belt 0',
          '',
          '## 保修条款',
          '',
          `${chinese}保修范围包括材料和工艺缺陷。`,
        ),
      )
      expect(title).toBe('Warranty 保修')
      expect(layout).toEqual([
        { kind: 'page', number: 1, start: 0 },
        { kind: 'page', number: 2, start: text.indexOf('## 保修') },
      ])
    })

    test('HTML: what a browser shows, and nothing that it runs or fetches', async () => {
      const { text, title, encoding } = await extract('shipping.html')
      expect(text).toBe(
        lines(
          'Home',
          '',
          '# Shipping',
          '',
          'Parcels leave on the same day,',
          'if ordered before noon.',
          '',
          '## 配送方式',
          '',
          '3. Post',
          '   - slow',
          '4. Courier',
          '',
          '```sh',
          'curl  -X POST \\',
          '  /parcels',
          '```',
          '',
          '| Zone | Days |',
          '| --- | --- |',
          '| EU | 3 |',
          '| 中国 \\| 华东 | 10 |',
          '',
          'Weight',
          ': up to 30 kg',
          '',
          '> Quick as ever.',
        ),
      )
      expect(title).toBe('Shipping & 配送')
      expect(encoding).toBe('utf-8')
    })

    test('Markdown: as it is', async () => {
      const { text, title } = await extract('rules.md')
      expect(text).toBe((await fixture('rules.md')).toString().trimEnd())
      expect(title).toBe('House rules')
    })

    test('CSV and TSV: every row, whatever separates the cells', async () => {
      expect((await extract('articles.csv')).text).toBe(
        lines(
          '| 名称 | Price | Note |',
          '| --- | --- | --- |',
          '| Tea | 4,90 | hot; or cold |',
          '| Cup | 7,00 | a \\| b |',
        ),
      )
      expect((await extract('articles.tsv')).text).toContain('| Tea | 4.90 |')
      const loose = Buffer.from('size,note\n5" pipe,it says "ok"\n')
      expect((await extractor.extract({ name: 'a.csv', bytes: loose })).text).toContain(
        '| 5" pipe | it says "ok" |',
      )
    })

    test('JSON Lines and JSON: fields with their paths, long numbers with all their digits', async () => {
      expect((await extract('questions.jsonl')).text).toBe(
        lines(
          'id: 9007199254740993',
          'question: Where is my parcel?',
          'answer: On its way.',
          'tags: post, 包裹',
          '',
          'id: 2',
          'question: 退货?',
          'where.city: Berlin',
        ),
      )
      const json = Buffer.from('[{"a": {"b": [{"c": 1}]}}, 5]')
      expect((await extractor.extract({ name: 'a.json', bytes: json })).text).toBe('a.b.1.c: 1\n\n5')
    })

    test('text in the encodings that are out there', async () => {
      expect((await extract('plain.txt')).text).toBe('Opening hours\n\nNine to five, 周一至周五.')
      const chinese = '退货政策：商品签收后七天内可以无理由退货。\n请保留原包装和发票。'
      const expected: Record<string, [encoding: string, text: string]> = {
        'gb18030.txt': ['gb18030', chinese],
        'utf16le.txt': ['utf-16le', chinese],
        'utf16be-marked.txt': ['utf-16be', chinese],
        'big5.txt': ['big5', '退貨政策：商品簽收後七天內可以無理由退貨。'],
        'shift-jis.txt': [
          'shift_jis',
          '返品は商品の到着後七日以内に受け付けます。\n元の箱と領収書を保管してください。',
        ],
        'euc-kr.txt': ['euc-kr', '반품은 상품 도착 후 7일 이내에 가능합니다.'],
        'windows-1252.txt': ['windows-1252', 'Rücksendungen sind möglich – für „alle“, zum Preis von 5 €.'],
      }
      for (const [name, [encoding, text]] of Object.entries(expected)) {
        expect(await extract(name)).toMatchObject({ encoding, text, format: 'text' })
      }
    })

    test('what nobody named, by its content', async () => {
      const docx = await extractor.extract({ name: '', bytes: await fixture('returns.docx') })
      expect(docx.format).toBe('docx')
      const declared = Buffer.from('<html><meta charset="koi8-r"><p>\xf7\xcf\xda\xd7\xd2\xc1\xd4', 'latin1')
      expect(await extractor.extract({ name: '', bytes: declared })).toMatchObject({
        format: 'html',
        encoding: 'koi8-r',
        text: 'Возврат',
      })
    })

    test('NUL and halves of surrogate pairs never come out', async () => {
      const json = Buffer.from('{"a": "x\\u0000y \\ud800 z"}')
      expect((await extractor.extract({ name: 'a.json', bytes: json })).text).toBe('a: xy � z')
    })
  })

  describe('refuses', () => {
    test('nothing, and kinds that are not read', async () => {
      expect(await failure('a.pdf', '')).toMatchObject({
        code: 'FILE_EMPTY',
        message: '"a.pdf" has no bytes',
      })
      expect(await failure('picture.png', await fixture('picture.png'))).toMatchObject({
        code: 'FILE_TYPE_UNKNOWN',
        message: '"picture.png" is of a kind that is not read: png',
        details: { found: 'png' },
      })
      expect((await failure('a.zip', writeZip([{ name: 'a.txt', bytes: 'a' }]))).code).toBe(
        'FILE_TYPE_UNKNOWN',
      )
      const ole = Buffer.concat([
        Buffer.from('d0cf11e0a1b11ae1', 'hex'),
        Buffer.from('WordDocument', 'utf16le'),
      ])
      expect(await failure('old.doc', ole)).toMatchObject({
        code: 'FILE_TYPE_UNKNOWN',
        details: { found: 'doc' },
      })
    })

    test('a file that is not what its name says', async () => {
      const pdf = await fixture('warranty.pdf')
      expect(await failure('a.docx', pdf)).toMatchObject({
        code: 'FILE_TYPE_MISMATCH',
        message: '"a.docx" says it is docx, but its content is pdf',
        hint: 'Give the file the extension and media type of what it is.',
      })
      expect((await failure('a.txt', pdf)).code).toBe('FILE_TYPE_MISMATCH')
      expect((await failure('a', pdf, 'text/html')).code).toBe('FILE_TYPE_MISMATCH')
      expect(await failure('a.docx', await fixture('prices.xlsx'))).toMatchObject({
        code: 'FILE_TYPE_MISMATCH',
        details: { expected: 'docx', found: 'xlsx' },
      })
      expect((await failure('a.pptx', writeZip([{ name: 'a', bytes: 'a' }]))).code).toBe('FILE_TYPE_MISMATCH')
      expect((await failure('a.xlsx', await fixture('picture.png'))).code).toBe('FILE_TYPE_MISMATCH')
    })

    test('broken files', async () => {
      for (const name of ['returns.docx', 'prices.xlsx', 'onboarding.pptx']) {
        const bytes = await fixture(name)
        expect((await failure(name, bytes.subarray(0, bytes.length / 2))).code).toBe('FILE_BROKEN')
      }
      expect((await failure('a.pdf', '%PDF-1.7\nnothing more')).code).toBe('FILE_BROKEN')
      expect((await failure('a.docx', writeOffice('docx', wordXml('<w:p>')))).code).toBe('FILE_BROKEN')
      expect(await failure('a.jsonl', '{"a": 1}\n{"b": ')).toMatchObject({
        code: 'FILE_BROKEN',
        message: expect.stringContaining('line 2 is not JSON'),
      })
      expect((await failure('a.html', `${'<div>'.repeat(5000)}deep`)).code).toBe('FILE_BROKEN')
      expect((await failure('a.json', `${'['.repeat(50_000)}1${']'.repeat(50_000)}`)).code).toBe(
        'FILE_BROKEN',
      )
    })

    test('files with a password', async () => {
      expect((await failure('a.pdf', await fixture('encrypted.pdf'))).code).toBe('FILE_ENCRYPTED')
      const ole = Buffer.from('d0cf11e0a1b11ae1', 'hex')
      const locked = Buffer.concat([ole, Buffer.alloc(600), Buffer.from('EncryptedPackage', 'utf16le')])
      expect((await failure('a.docx', locked)).code).toBe('FILE_ENCRYPTED')
      expect((await failure('a', locked)).code).toBe('FILE_ENCRYPTED')
    })

    test('pictures of text, and white space', async () => {
      expect(await failure('scan.pdf', await fixture('scanned.pdf'))).toMatchObject({
        code: 'FILE_NO_TEXT',
        hint: expect.stringContaining('OCR'),
      })
      expect((await failure('a.docx', writeOffice('docx', wordXml('<w:p/>')))).code).toBe('FILE_NO_TEXT')
      expect((await failure('a.txt', ' \n\t\n')).code).toBe('FILE_NO_TEXT')
    })

    test('bombs: what unpacks to far more than it is, whatever its headers say', async () => {
      const huge = wordXml(paragraph(' '.repeat(24 * MIB)))
      const bomb = writeOffice('docx', huge)
      expect(bomb.length).toBeLessThan(40_000)
      expect(await failure('bomb.docx', bomb)).toMatchObject({ code: 'FILE_UNPACKED_TOO_LARGE' })
      // Hidden in a part that nothing refers to, where a library might look.
      const hidden = writeOffice('docx', wordXml(paragraph('a')), [{ name: 'word/media/a.bin', bytes: huge }])
      expect((await failure('bomb.docx', hidden)).code).toBe('FILE_UNPACKED_TOO_LARGE')
      const lying = writeOffice('docx', wordXml(paragraph('a')), [
        { name: 'word/a', bytes: huge, claimed: 10 },
      ])
      expect((await failure('bomb.docx', lying)).code).toBe('FILE_BROKEN')
      const many = Array.from({ length: 20_001 }, (_, at) => ({ name: `word/${at}`, bytes: '' }))
      expect((await failure('many.docx', writeOffice('docx', wordXml(''), many))).code).toBe(
        'FILE_UNPACKED_TOO_LARGE',
      )
    })

    test('entities that grow, or that fetch', async () => {
      const laughs =
        '<!DOCTYPE w [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;"><!ENTITY f SYSTEM "file:///etc/passwd">]>'
      const docx = writeOffice('docx', wordXml(paragraph('&b;&f;'), laughs))
      expect(await failure('a.docx', docx)).toMatchObject({
        code: 'FILE_BROKEN',
        message: expect.stringContaining('DTD'),
      })
    })

    test('whatever is damaged, with a code of its own', async () => {
      const names = ['warranty.pdf', 'encrypted.pdf', 'returns.docx', 'prices.xlsx', 'onboarding.pptx']
      const files = await Promise.all(names.map(fixture))
      const damage = fc.record({
        file: fc.nat({ max: files.length - 1 }),
        places: fc.array(fc.tuple(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.nat({ max: 255 })), {
          minLength: 1,
          maxLength: 12,
        }),
      })
      await fc.assert(
        fc.asyncProperty(damage, async ({ file, places }) => {
          const bytes = Buffer.from(files[file] ?? [])
          for (const [at, value] of places) bytes[Math.floor(at * bytes.length)] = value
          const { code } = await failure(names[file] ?? '', bytes)
          expect(code).toMatch(/^(?:none|FILE_(?:BROKEN|TYPE_MISMATCH|NO_TEXT|ENCRYPTED|UNPACKED_TOO_LARGE))/)
        }),
        { numRuns: 60, seed: 5 },
      )
    })

    test('and goes on with the next file', async () => {
      expect((await extract('rules.md')).format).toBe('markdown')
    })
  })

  test('a script in a PDF is not run', async () => {
    const bytes = writePdf(['Only words'], 'while \\(true\\) {}')
    expect((await extractor.extract({ name: 'a.pdf', bytes })).text).toBe('Only words')
  })
})

describe('limits', () => {
  const codeOf = async (extractor: Extractor, name: string, bytes: Buffer) =>
    extractor.extract({ name, bytes }).then(
      () => 'none',
      (error: { code: string }) => error.code,
    )

  test('pages, sheets, slides, the size of the file and of its text', async () => {
    const extractor = openExtractor({
      limits: { pages: 2, sheets: 3, textBytes: 100, fileBytes: 200_000 },
    })
    try {
      const pages = writePdf(Array.from({ length: 500 }, (_, at) => `Page ${at}`))
      expect(await codeOf(extractor, 'a.pdf', pages)).toBe('FILE_TOO_MANY_PAGES')
      expect(await codeOf(extractor, 'a.xlsx', await fixture('prices.xlsx'))).toBe('FILE_TOO_MANY_PAGES')
      expect(await codeOf(extractor, 'a.pptx', await fixture('onboarding.pptx'))).toBe('FILE_TOO_MANY_PAGES')
      expect(await codeOf(extractor, 'a.txt', Buffer.from('文'.repeat(34)))).toBe('FILE_TEXT_TOO_LONG')
      expect(await codeOf(extractor, 'a.txt', Buffer.alloc(200_001, 'a'))).toBe('FILE_TOO_LARGE')
      expect(await codeOf(extractor, 'a.txt', Buffer.from('文'.repeat(33)))).toBe('none')
    } finally {
      await extractor.close()
    }
  })

  test('time: the process is killed, and the next file gets another one', async () => {
    const said: string[] = []
    const extractor = openExtractor({ limits: { timeMs: 1 }, log: (message) => said.push(message) })
    try {
      const pdf = await fixture('warranty.pdf')
      expect(await codeOf(extractor, 'a.pdf', pdf)).toBe('FILE_TIMEOUT')
      expect(await codeOf(extractor, 'a.pdf', pdf)).toBe('FILE_TIMEOUT')
      expect(said.filter((message) => message.includes('started'))).toHaveLength(2)
    } finally {
      await extractor.close()
    }
  })

  test('memory: the process ends, and the next file is read by another one', async () => {
    const extractor = openExtractor({ limits: { memoryBytes: 160 * MIB, textBytes: 1024 * MIB } })
    try {
      const json = Buffer.from(`[${'{"a":{"b":[1,{"c":2}]}},'.repeat(1_000_000)}1]`)
      expect(await codeOf(extractor, 'a.json', json)).toBe('FILE_OUT_OF_MEMORY')
      expect(await codeOf(extractor, 'a.txt', Buffer.from('small'))).toBe('none')
    } finally {
      await extractor.close()
    }
  })

  test('a process that dies is tried once more, then it is the file', async () => {
    const pids: number[] = []
    let kills = 1
    const extractor = openExtractor({
      log: (_message, { pid }) => {
        if (typeof pid !== 'number') return
        pids.push(pid)
        if (kills-- > 0) process.kill(pid, 'SIGKILL')
      },
    })
    try {
      expect(await codeOf(extractor, 'a.txt', Buffer.from('words'))).toBe('none')
      expect(pids).toHaveLength(2)
      kills = 2
      process.kill(pids[1] ?? 0, 'SIGKILL')
      expect(await codeOf(extractor, 'a.txt', Buffer.from('words'))).toBe('FILE_CRASHED')
    } finally {
      await extractor.close()
    }
  })

  test('closing ends what is in work and what waits', async () => {
    const extractor = openExtractor()
    const codes = Promise.all(['a.txt', 'b.txt'].map((name) => codeOf(extractor, name, Buffer.from('a'))))
    await extractor.close()
    expect(await codes).toEqual(['EXTRACTOR_CLOSED', 'EXTRACTOR_CLOSED'])
    expect(await codeOf(extractor, 'c.txt', Buffer.from('a'))).toBe('EXTRACTOR_CLOSED')
  })

  test('an idle one keeps no process alive, neither ours nor its own', async () => {
    const script = `
      import { openExtractor } from '@millrace/files'
      const extractor = openExtractor({ log: (_, { pid }) => console.log(pid) })
      const { text } = await extractor.extract({ name: 'a.txt', bytes: Buffer.from('words') })
      console.log(text)`
    const host = spawn(process.execPath, ['--input-type=module', '-e', script], {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let said = ''
    host.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    expect((await once(host, 'close'))[0]).toBe(0)
    const [pid, text] = said.trim().split('\n')
    expect(text).toBe('words')
    await expect.poll(() => isThere(Number(pid)), { timeout: 20_000 }).toBe(false)
  })
})

/** Whether a process runs. One that has ended but whom nobody asked for its end does not. */
function isThere(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' })
  return stdout.trim() !== '' && !stdout.trim().startsWith('Z')
}
