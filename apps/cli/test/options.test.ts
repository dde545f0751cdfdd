import { messageFor } from 'millrace/hints'
import { numberList } from 'millrace/numbers'
import { expect, test } from 'vitest'

test('a list of numbers is what a server takes, or refused with its limits', () => {
  const list = numberList(1, 500, 3)
  expect(list('1, 10 ,500')).toBe('1,10,500')
  for (const wrong of ['', 'x', '0', '501', '1,,2', '1.5', '1e2', '1,2,3,4']) {
    expect(() => list(wrong)).toThrow(
      'It must be whole numbers from 1 to 500 with commas between, at most 3.',
    )
  }
})

test('a field of a request is called what it is called at the command line', () => {
  const said = (message: string) => messageFor('INVALID_REQUEST', message)
  expect(said('querystring.k.1: Too big: expected number to be <=500')).toBe(
    '-k: Too big: expected number to be <=500',
  )
  expect(said('body.efSearch: Too big')).toBe('--ef-search: Too big')
  expect(said('body.query: is blank')).toBe('query: is blank')
  expect(said('body: Invalid input')).toBe('body: Invalid input')
  expect(messageFor('OTHER', 'body.k: x')).toBe('body.k: x')
})
