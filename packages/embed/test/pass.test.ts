import { runRows } from '@millrace/embed/pass'
import type { Session } from '@millrace/embed/session'
import { CodedError } from '@millrace/errors'
import { expect, test } from 'vitest'

const POISON = 666
const NAN = 777
const DENSE = new Set(['dense'] as const)

/** A graph that fails, as onnxruntime does, with the whole batch; and one row that comes out as NaN. */
const session: Session = {
  run: async (rows) => {
    if (rows.some((row) => row.includes(POISON))) throw new Error('bad allocation')
    return rows.map((row) => ({ dense: Float32Array.of(row.includes(NAN) ? Number.NaN : (row[0] ?? 0)) }))
  },
  close: async () => undefined,
}
const row = (...ids: number[]) => Int32Array.from(ids)
const codes = (outcomes: readonly unknown[]) =>
  outcomes.map((outcome) => (outcome instanceof CodedError ? outcome.code : 'vector'))

test('a row that the model fails on does not fail its neighbours', async () => {
  const outcomes = await runRows(session, [row(1), row(POISON), row(3)], DENSE)
  expect(codes(outcomes)).toEqual(['vector', 'EMBED_FAILED', 'vector'])
  expect(outcomes[2]).toEqual({ dense: Float32Array.of(3) })
})

test('an output with NaN is an error, never a vector', async () => {
  expect(codes(await runRows(session, [row(NAN), row(2)], DENSE))).toEqual(['NAN_VECTOR', 'vector'])
})
