import { isFar } from '@millrace/flow'
import { expect, test } from 'vitest'

test('a wait that cannot be enough ends early; a few documents, or many that come quickly, are waited for', () => {
  expect(isFar(5_000, 4_990)).toBe(true)
  expect(isFar(5_000, 5_100)).toBe(true)
  expect([isFar(20, 20), isFar(5_000, 1_000), isFar(3, 0)]).toEqual([false, false, false])
})
