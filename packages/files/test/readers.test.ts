import { renderHtml } from '@millrace/files/readers/html'
import { linesOf, setPages, type TextItem } from '@millrace/files/readers/pdf-lines'
import { shown, styleOf } from '@millrace/files/readers/xlsx-numbers'
import { markdownTable } from '@millrace/files/table'
import { describe, expect, test } from 'vitest'

describe('renderHtml', () => {
  const markdown = (html: string) => renderHtml(html).markdown

  test('lists in lists, paragraphs in items', () => {
    expect(markdown('<ol><li><p>One</p><p>more</p><ul><li>a<li>b</ul><li>Two</ol>')).toBe(
      '1. One\n\n   more\n   - a\n   - b\n2. Two',
    )
  })

  test('a table that only places things is no table', () => {
    expect(markdown('<table><tr><td><p>One</p></td></tr><tr><td>Two</td></tr></table>')).toBe('One\n\nTwo')
    expect(
      markdown('<table><tr><td>Menu</td><td><table><tr><td>a<td>b<tr><td>c<td>d</table></td></tr></table>'),
    ).toBe('Menu\n\n| a | b |\n| --- | --- |\n| c | d |')
  })

  test('cells over several columns keep the ones after them in place', () => {
    expect(markdown('<table><tr><th colspan=2>Both<th>c<tr><td>1<td>2<td>3</table>')).toBe(
      '| Both |  | c |\n| --- | --- | --- |\n| 1 | 2 | 3 |',
    )
  })

  test('a code block with fences in it, an inline code', () => {
    expect(markdown('<pre>\n```\nx  y\n</pre><p>run <code> a  b </code> now')).toBe(
      '````\n```\nx  y\n````\n\nrun `a b` now',
    )
  })

  test('a link around blocks is blocks; words at the borders of inline elements stay apart or together', () => {
    expect(markdown('<a href="/x"><h3>Card</h3><div>Text</div></a>')).toBe('### Card\n\nText')
    expect(markdown('<p>a<b>b</b> <i>c</i>\n<span> d</span></p>')).toBe('ab c d')
  })

  test('what is hidden is not there', () => {
    const html = '<p hidden>a</p><p style="color:red; display: none">b</p><p aria-hidden="true">c</p><p>d</p>'
    expect(markdown(html)).toBe('d')
  })
})

describe('linesOf and setPages', () => {
  const item = (str: string, x: number, y: number, size = 10): TextItem => ({
    str,
    transform: [size, 0, 0, size, x, y],
    width: str.length * size * 0.5,
    height: size,
    hasEOL: true,
  })
  const blocks = (...items: TextItem[]) => setPages([linesOf(items)])[0]

  test('full lines go on, short ones end; a divided word is put together', () => {
    expect(
      blocks(
        item('The house is very large and the gar-', 50, 700),
        item('den is larger still, as one can see in', 50, 688),
        item('spring.', 50, 676),
        item('A line of its own', 50, 664),
      ),
    ).toEqual([
      'The house is very large and the garden is larger still, as one can see in spring.\nA line of its own',
    ])
  })

  test('a gap is a paragraph, a mark is an item, a jump up is a column', () => {
    expect(
      blocks(
        item('The first paragraph has this full line', 50, 700),
        item('1. and an item after it', 50, 688),
        item('Second paragraph', 50, 660),
        item('Another column', 300, 700),
      ),
    ).toEqual([
      'The first paragraph has this full line\n1. and an item after it',
      'Second paragraph',
      'Another column',
    ])
  })

  test('larger letters are headings, unless most of the text is in them', () => {
    const body = Array.from({ length: 9 }, (_, at) =>
      item('Some text that is of usual size here', 50, 600 - at * 12),
    )
    expect(blocks(item('Large', 50, 700, 20), item('Smaller', 50, 670, 14), ...body)?.slice(0, 2)).toEqual([
      '# Large',
      '## Smaller',
    ])
    expect(blocks(item('A slide of large words', 50, 700, 20), item('small print', 50, 600, 8))).toEqual([
      'A slide of large words',
      'small print',
    ])
  })

  test('a raised mark stays in its line', () => {
    const raised = { ...item('2', 105, 704, 6), hasEOL: true }
    expect(linesOf([{ ...item('E = m c', 50, 700), hasEOL: false }, raised]).map(({ text }) => text)).toEqual(
      ['E = m c2'],
    )
  })
})

describe('numbers of a sheet', () => {
  test('formats say what a number is', () => {
    const codes = {
      'yyyy\\-mm\\-dd': 'date',
      'yyyy"年"m"月"d"日"': 'date',
      '[$-409]h:mm AM/PM': 'time',
      'm/d/yy h:mm': 'datetime',
      '[h]:mm:ss': 'duration',
      '0.00%': 'percent',
      '#,##0.00 "days"': 'plain',
      '[Red]General': 'plain',
      '0.00E+00': 'plain',
      '_-* #,##0.00\\ "€"_-;-* #,##0.00': 'plain',
    }
    expect(Object.fromEntries(Object.keys(codes).map((code) => [code, styleOf(164, code)]))).toEqual(codes)
    expect([styleOf(0), styleOf(9), styleOf(14), styleOf(22), styleOf(46)]).toEqual([
      'plain',
      'percent',
      'date',
      'datetime',
      'duration',
    ])
  })

  test('numbers as they are meant', () => {
    expect(shown('45351', 'date', false)).toBe('2024-02-29')
    expect(shown('1', 'date', false)).toBe('1900-01-01')
    expect(shown('0', 'date', true)).toBe('1904-01-01')
    expect(shown('45351.5', 'datetime', false)).toBe('2024-02-29 12:00')
    expect(shown('0.75', 'time', false)).toBe('18:00')
    expect(shown('1.5', 'duration', false)).toBe('36:00:00')
    expect(shown('0.30000000000000004', 'plain', false)).toBe('0.3')
    expect(shown('0.125', 'percent', false)).toBe('12.5%')
    expect(shown('-3', 'date', false)).toBe('-3')
    expect(shown('1E+20', 'plain', false)).toBe('100000000000000000000')
    expect(shown('no number', 'date', false)).toBe('no number')
  })
})

test('a table leaves out rows and columns that are blank throughout', () => {
  expect(
    markdownTable([
      ['a', '', 'b'],
      ['', ' '],
      ['', '', 'c\nd|e'],
    ]),
  ).toBe('| a | b |\n| --- | --- |\n|  | c d\\|e |')
  expect(markdownTable([['', ' ']])).toBe('')
})
