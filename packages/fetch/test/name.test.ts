import { nameOf } from '@millrace/fetch/name'
import { expect, test } from 'vitest'

const latin1 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')

test.each([
  ['the last part of the path', undefined, '/a/b/Manual%202.pdf', 'Manual 2.pdf'],
  ['no part of the query', undefined, '/a/get?file=/x/y.pdf', 'get'],
  ['nothing, where the path has none', undefined, '/a/b/', ''],
  ['what the header says', 'attachment; filename="q1 report.docx"', '/download', 'q1 report.docx'],
  ['RFC 8187 first', `attachment; filename="x.pdf"; filename*=UTF-8''%E6%96%87.pdf`, '/x', '文.pdf'],
  ['UTF-8 as it is', latin1('attachment; filename="文件.pdf"'), '/x', '文件.pdf'],
  ['UTF-8 escaped', 'attachment; filename=%E6%96%87.pdf', '/x', '文.pdf'],
  ['the path, where the header has no name', 'inline', '/a/b.txt', 'b.txt'],
  ['the path, where the header is broken', ';;=="', '/a/b.txt', 'b.txt'],
  ['no folder', 'attachment; filename="../../etc/passwd"', '/x', 'passwd'],
  ['no folder of Windows', `attachment; filename*=UTF-8''C%3A%5Cdocs%5Ca.txt`, '/x', 'a.txt'],
  ['no folder that was escaped', undefined, '/x/..%2f..%2fpasswd', 'passwd'],
  ['never a folder itself', 'attachment; filename=".."', '/x.txt', 'x.txt'],
  ['no control character', `attachment; filename*=UTF-8''a%00%0Ab.txt`, '/x', 'ab.txt'],
  ['what cannot be unescaped as it is', undefined, '/%ff.txt', '%ff.txt'],
])('a file is named: %s', (_, disposition, path, name) => {
  expect(nameOf(disposition, new URL(path, 'https://example.com'))).toBe(name)
})

test('a long name keeps its extension, and no half of a character', () => {
  const name = nameOf(
    undefined,
    new URL(`/${encodeURIComponent('😀'.repeat(300))}.pdf`, 'https://example.com'),
  )
  expect(name).toMatch(/😀\.pdf$/u)
  expect(name.length).toBeLessThanOrEqual(255)
  expect(name.isWellFormed()).toBe(true)
})
