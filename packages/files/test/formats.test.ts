import { formatOf, READABLE_EXTENSIONS } from '@millrace/files'
import { describe, expect, test } from 'vitest'

const bytes = (text: string) => Buffer.from(text, 'latin1')

describe('formatOf', () => {
  test('content says what kind it is, the name which text or which package', () => {
    expect(formatOf('a.md', undefined, bytes('# Title'))).toEqual({
      format: 'markdown',
      expected: 'markdown',
      found: 'text',
    })
    expect(formatOf('a', 'text/csv; charset=utf-8', bytes('a,b')).format).toBe('csv')
    expect(formatOf('a.JSONL', 'text/plain', bytes('{}')).format).toBe('jsonl')
    expect(formatOf('a', undefined, bytes('%PDF-1.7\n')).format).toBe('pdf')
    expect(formatOf('a', undefined, bytes('<!-- x --><!DOCTYPE html><p>')).format).toBe('html')
    expect(formatOf('a', undefined, bytes('just words')).format).toBe('text')
    expect(formatOf('a.docx', undefined, bytes('PK\x03\x04')).format).toBe('docx')
    expect(formatOf('a', 'application/pdf', bytes('\n%PDF-1.7\n')).format).toBe('pdf')
  })

  test('a text in an extension that nobody knows is read as plain text', () => {
    expect(formatOf('notes.xyz', undefined, bytes('words')).format).toBe('text')
    expect(formatOf('conf.constructor', 'toString', bytes('words')).format).toBe('text')
  })

  test('a name that contradicts the content has no format', () => {
    const lies: [string, string][] = [
      ['a.pdf', 'PK\x03\x04'],
      ['a.docx', '%PDF-1.4'],
      ['a.docx', 'words'],
      ['a.txt', '%PDF-1.4'],
      ['a.md', '\x89PNG\r\n\x1a\n'],
      ['a.xlsx', '\x89PNG\r\n\x1a\n'],
    ]
    for (const [name, content] of lies) expect(formatOf(name, undefined, bytes(content)).format).toBeNull()
  })

  test('kinds that are not read are named', () => {
    const kinds = {
      'MZ\x90\x00': 'exe',
      '\x1f\x8b\x08': 'gz',
      GIF89a: 'gif',
      '<svg xmlns="">': 'svg',
      '{\\rtf1': 'rtf',
    }
    for (const [content, found] of Object.entries(kinds)) {
      expect(formatOf('a', undefined, bytes(content))).toEqual({ format: null, expected: null, found })
    }
    expect(formatOf('a', undefined, bytes('')).found).toBe('empty')
    expect(formatOf('a', undefined, bytes('\x01\x02\x00\x00\x00\x05\x1c\x00ab')).found).toBe('binary')
  })

  test('a head of many comments is looked at once', () => {
    const head = bytes('<!---->'.repeat(580))
    expect(formatOf('a', undefined, head).format).toBe('text')
  })

  test('extensions are for whoever walks a folder', () => {
    for (const name of ['.md', '.txt', '.pdf', '.docx', '.xlsx', '.pptx', '.html', '.csv', '.jsonl']) {
      expect(READABLE_EXTENSIONS).toContain(name)
    }
  })
})
