import { slices } from '@millrace/flow/verbs/submit'
import { rangesOf } from '@millrace/store'
import { describe, expect, test } from 'vitest'

const MIB = 1024 * 1024
const ofBytes = (bytes: number) => ({ text: 'x'.repeat(bytes) })
const sizes = (given: readonly { readonly text: string }[][]) =>
  given.map((slice) => slice.map(({ text }) => Buffer.byteLength(text) / MIB))

describe('slices of a submission, one statement each', () => {
  test('nothing is no slice', () => {
    expect(slices([])).toEqual([])
  })

  test('consecutive documents share one up to 4 MiB of text', () => {
    expect(sizes(slices([3, 1, 1, 2, 2].map((mib) => ofBytes(mib * MIB))))).toEqual([[3, 1], [1, 2], [2]])
  })

  test('a longer document stands alone', () => {
    expect(sizes(slices([1, 5, 1].map((mib) => ofBytes(mib * MIB))))).toEqual([[1], [5], [1]])
  })

  test('bytes count, not characters', () => {
    const chinese = { text: '水'.repeat(MIB) }
    expect(sizes(slices([chinese, chinese]))).toEqual([[3], [3]])
  })

  test('order and identity stay', () => {
    const documents = [{ text: 'a' }, { text: '' }, { text: 'b' }]
    expect(slices(documents).flat()).toEqual(documents)
  })
})

describe('ranges of documents, one job each', () => {
  const rows = (ingestion: number, ...ids: number[]) => ids.map((id) => ({ id, ingestion }))

  test('nothing is no range', () => {
    expect(rangesOf([])).toEqual([])
  })

  test('at most so many documents in one, by their number and not by the span of their ids', () => {
    expect(rangesOf(rows(1, 1, 2, 90, 91, 92), 2)).toEqual([
      { ingestionId: 1, from: 1, to: 2 },
      { ingestionId: 1, from: 90, to: 91 },
      { ingestionId: 1, from: 92, to: 92 },
    ])
  })

  test('documents of several ingestions that lie among each other stay apart, none is in two ranges', () => {
    expect(rangesOf([...rows(1, 5, 1), ...rows(2, 4, 2), ...rows(1, 3)], 50)).toEqual([
      { ingestionId: 1, from: 1, to: 5 },
      { ingestionId: 2, from: 2, to: 4 },
    ])
  })

  test('the order they come in does not matter', () => {
    const given = rows(1, 9, 3, 7, 1, 8)
    expect(rangesOf(given, 2)).toEqual(rangesOf(given.toReversed(), 2))
  })
})
