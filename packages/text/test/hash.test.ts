import { createHash } from 'node:crypto'
import { textHash } from '@millrace/text'
import { expect, test } from 'vitest'

test('the same words as query and as document have different keys', () => {
  expect(textHash('query', 'hello').equals(textHash('document', 'hello'))).toBe(false)
})

test('the key is SHA-256 over the kind and the UTF-8 bytes, and stays what it is', () => {
  const bytes = Buffer.concat([Buffer.from([1]), Buffer.from('你好', 'utf8')])
  expect(textHash('document', '你好').equals(createHash('sha256').update(bytes).digest())).toBe(true)
  expect(textHash('document', '你好')).toHaveLength(32)
})
