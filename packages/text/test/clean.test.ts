import { CLEANING_DEFAULTS, CLEANING_STEPS, type CleaningStep, clean } from '@millrace/text'
import { describe, expect, test } from 'vitest'
import { scrap, seeded } from './samples.js'

const only = (...steps: CleaningStep[]) => ({
  ...CLEANING_DEFAULTS,
  ...Object.fromEntries(CLEANING_STEPS.map((step) => [step, steps.includes(step)])),
})
const run = (text: string, ...steps: CleaningStep[]) => clean(text, only(...steps)).text

describe('each step, alone', () => {
  test('newlines: every kind of line break becomes LF', () => {
    expect(run('a\r\nb\rc\u2028d\u2029e\u0085f\u000bg\fh', 'newlines')).toBe('a\nb\nc\nd\ne\nf\ng\nh')
  })

  test('controls: what nobody sees goes, joiners stay', () => {
    expect(run('\ufeffa\u0000b\u200bc\u007fd\u0090\u202ee\tf\n', 'controls')).toBe('abcde\tf\n')
    expect(run('👩‍👩‍👧 می‌خواهم', 'controls')).toBe('👩‍👩‍👧 می‌خواهم')
  })

  test('nfc: composed letters, Hangul, and singletons', () => {
    expect(run('cafe\u0301 \u1112\u1161\u11ab \u212b', 'nfc')).toBe('café 한 Å')
    expect(run(`a${'\u0301'.repeat(300_000)}`, 'nfc').startsWith('á\u0301')).toBe(true)
  })

  test('frontMatter: a closed block of keys at the very start', () => {
    expect(run('---\ntitle: A\ntags:\n  - x\n- y\n# note\n---\nBody', 'frontMatter')).toBe('\nBody')
    for (const kept of [
      '---\nA rule, then text\n---\nBody',
      '---\ntitle: A\nBody',
      'Text\n---\na: b\n---',
      '---\n\nNote: x\n\n---\n',
    ]) {
      expect(run(kept, 'frontMatter')).toBe(kept)
    }
  })

  test('htmlComments: outside code only, and never joining two words', () => {
    expect(run('<!-- licence\n-->\n\nA<!-- x -->B <!---->C', 'htmlComments')).toBe('\n\nA B C')
    const code = '```html\n<!-- kept -->\n```\n'
    expect(run(`${code}<!-- gone -->`, 'htmlComments')).toBe(code)
    for (const kept of [
      'write `<!-- this -->`',
      'open <!-- never closed',
      '~~~\n```\n<!-- a -->',
      '> ```\n> <!-- a -->\n> ```',
    ]) {
      expect(run(kept, 'htmlComments')).toBe(kept)
    }
    expect(run('```a` <!-- inline code, no fence -->', 'htmlComments')).toBe('```a` ')
  })

  test('tables: rulers are three dashes a column, text and rules are left alone', () => {
    expect(run('| a | b |\n|:--------|----------------:|\n| -------- | x |\n-----', 'tables')).toBe(
      '| a | b |\n|:---|---:|\n| -------- | x |\n-----',
    )
  })

  test('whitespace: one space inside lines, indentation kept, one empty line at most, ends trimmed', () => {
    expect(run('\n  a \u00a0\u3000b\t \n\n\n\n  - c  d\n\te \n', 'whitespace')).toBe('a b\n\n  - c d\n\te')
    expect(run('a\n\u00a0\u00a0b', 'whitespace')).toBe('a\n  b')
  })

  test('softHyphens: inside words and where a line of print broke one', () => {
    expect(run('Wör\u00adter\u00ad\nbuch \u00ad\nNeu', 'softHyphens')).toBe('Wörterbuch \nNeu')
  })

  test('fullWidth: letters and digits to ASCII, half-width katakana to full-width, punctuation stays', () => {
    expect(run('ＡＢｃ１２３，。（） ｶﾞｷﾞﾊﾟﾃｽﾄ ﾞｱﾞ', 'fullWidth')).toBe('ABc123，。（） ガギパテスト ﾞアﾞ')
  })

  test('html: tags of elements and references outside code; what is no element stays', () => {
    expect(run('<p class="x">One &amp; <b>t</b>wo</p><p>caf&eacute;&nbsp;&#65;<br/>end', 'html')).toBe(
      'One & two\n\ncafé A\nend',
    )
    expect(run('a <script>if (a<b) x()</script>b <style>p{}</style>', 'html')).toBe('a b ')
    expect(run('| a<br>b | <td>c |\n# T<br>U', 'html')).toBe('| a b | c |\n# T U')
    for (const kept of [
      'a < b and c > d, 1 <2, x<y>z, Vec<T>, <your name>, <https://a.b>, <a@b.c>',
      '`<b>` and ``a`<i>`` and\n```html\n<p>&amp;</p>\n```',
      'AT&T &unknown; &lt;b&gt;x'.replace('&gt;', '>'),
      'a <b and c> d',
    ]) {
      expect(run(kept, 'html')).toBe(kept)
    }
  })

  test('pageHeaders: what is repeated at the edges of pages, numbers that count up with them too', () => {
    const page = (n: number, body: string) => `ACME Manual\n\n${body}\n\nPage ${n} of 4`
    const bodies = ['One 1', 'Two', '| a |\n| 1 |', 'Four']
    const pages = bodies.map((body, index) => page(index + 1, body))
    const words = (text: string) => text.split(/\n+/).filter((line) => line !== '')
    expect(words(run(pages.join('\f'), 'pageHeaders'))).toEqual(['One 1', 'Two', '| a |', '| 1 |', 'Four'])
    const starts = pages.map((_, index) => pages.slice(0, index).join('\n').length + (index > 0 ? 1 : 0))
    const { text, span } = clean(pages.join('\n'), only('pageHeaders', 'whitespace'), starts)
    expect(words(text)).toEqual(['One 1', 'Two', '| a |', '| 1 |', 'Four'])
    const { start, end } = span(text.indexOf('Two'), text.indexOf('Two') + 3)
    expect(pages.join('\n').slice(start, end)).toBe('Two')
    expect(run('Notes\na\fNotes\nb', 'pageHeaders')).toBe('Notes\na\nNotes\nb')
    // What the pages are about is no header, nor is all of a page one.
    const items = [1, 2, 3].map((n) => `Item ${n} costs ${n} euros`)
    expect(run(items.join('\f'), 'pageHeaders')).toBe(items.join('\n'))
    const questions = [1, 2, 3].map((n) => `Question ${n}\nWhat is ${n * n}?`)
    expect(run(questions.join('\f'), 'pageHeaders')).toBe(questions.join('\n'))
    expect(run('Same\fSame\fSame', 'pageHeaders')).toBe('Same\nSame\nSame')
    const numbered = [1, 2, 3].map((n) => `正文 ${n * n}\n第 ${n} 页`)
    expect(words(run(numbered.join('\f'), 'pageHeaders'))).toEqual(['正文 1', '正文 4', '正文 9'])
  })

  test('symbolRuns: three of ASCII, one of others; Markdown goes on meaning what it does', () => {
    expect(run('Part ........ 12 ★★★★★ ok ····· wow!!!!! 。。。。 😀😀😀😀', 'symbolRuns')).toBe(
      'Part ... 12 ★ ok · wow!!! 。 😀',
    )
    expect(run('Title\n========\n\n--------\n\na ~~~~', 'symbolRuns')).toBe('Title\n===\n\n----\n\na ~~~')
    for (const kept of [
      '#### H',
      '```\n=====\n```',
      '~~~~\n.....\n~~~~',
      '`=====`',
      'a____b',
      '((((x))))',
      '...',
    ]) {
      expect(run(kept, 'symbolRuns')).toBe(kept)
    }
  })

  test('a step that is not named is off: recipes that are older do not know it', () => {
    expect(clean('ＡＢ <b>x</b> =====', { newlines: true, whitespace: true }).text).toBe(
      'ＡＢ <b>x</b> =====',
    )
  })

  test('a step that is off leaves its matter in place', () => {
    for (const step of CLEANING_STEPS) {
      const messy =
        '---\na: b\n---\r\n<!-- c -->\u0000e\u0301  x\u00ad ｶ <b>y</b>\n|--------|\nz ★★★★\n\fa\nb\fa\nc\fa'
      expect(clean(messy, { ...CLEANING_DEFAULTS, [step]: false }).text).not.toBe(clean(messy).text)
    }
  })
})

describe('the way back to the submitted text', () => {
  const found = (source: string, word: string) => {
    const { text, span } = clean(source)
    const at = text.indexOf(word)
    const { start, end } = span(at, at + word.length)
    return source.slice(start, end)
  }

  test('a span of cleaned text names the characters it came from', () => {
    const source =
      '\ufeff---\r\ntitle: A\r\n---\r\n<!-- x -->\r\n\r\n\r\nOne  two\u0000three cafe\u0301 <!-- y --> end.\r\n'
    expect(found(source, 'One two')).toBe('One  two')
    expect(found(source, 'twothree')).toBe('two\u0000three')
    expect(found(source, 'three')).toBe('three')
    expect(found(source, 'café')).toBe('cafe\u0301')
    expect(found(source, 'end.')).toBe('end.')
  })

  test('a text with nothing to clean is the same string with the same positions', () => {
    const { text, span } = clean('Nothing to do here.')
    expect(text).toBe('Nothing to do here.')
    expect(span(3, 9)).toEqual({ start: 3, end: 9 })
  })

  test('for anything at all: in order, inside the text, and every cleaned span cleans to itself', () => {
    const random = seeded(11)
    for (let round = 0; round < 400; round++) {
      const source = scrap(random, 1 + Math.floor(random() * 40))
      const { text, span } = clean(source)
      let last = { start: 0, end: 0 }
      for (let at = 0; at < text.length; at++) {
        const here = span(at, at + 1)
        expect(here.start).toBeGreaterThanOrEqual(last.start)
        expect(here.end).toBeGreaterThanOrEqual(last.end)
        expect(here.end).toBeLessThanOrEqual(source.length)
        if (/[\w你好世界]/.test(text[at] ?? ''))
          expect(source.slice(here.start, here.end).normalize('NFKC')).toContain(text[at])
        last = here
      }
    }
  })
})

test('cleaning twice is cleaning once, whatever the text and the steps', () => {
  const random = seeded(5)
  for (let round = 0; round < 20_000; round++) {
    const source = scrap(random, 1 + Math.floor(random() * 30))
    const options = round % 2 === 0 ? CLEANING_DEFAULTS : only(...CLEANING_STEPS.filter(() => random() < 0.6))
    const once = clean(source, options).text
    expect(clean(once, options).text).toBe(once)
  }
})

test.each([
  ['CRLF', 'a b\r\n'],
  ['combining marks', '\u0301'],
  ['decomposed letters', 'e\u0301 '],
  ['comment openers', '<!-- '],
  ['backticks', '`'],
  ['spaces', ' '],
  ['front matter lines', '---\nk: v\n'],
  ['table rulers', '|-----'],
  ['tags', '<b '],
  ['stray backticks', '` ``'],
  ['references', '&amp;'],
  ['scripts that never end', '<script>'],
  ['symbols', '★'],
  ['pages', 'a\n\f'],
])('4 million characters of %s take seconds at most', (_name, unit) => {
  const started = performance.now()
  clean(unit.repeat(Math.ceil(4_000_000 / unit.length)))
  expect(performance.now() - started).toBeLessThan(10_000)
})
