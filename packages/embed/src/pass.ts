import { CodedError, messageOf } from '@millrace/errors'
import type { Output } from './manifest.js'
import type { Vectors } from './outputs.js'
import { allFinite } from './pool.js'
import type { Session } from './session.js'

/** What a row's text gets, or why it has nothing. */
export type RowOutcome = Vectors | CodedError

/**
 * Runs rows in one pass. Where that fails they are run one by one, so that one bad row does not fail its
 * neighbours; the row that fails alone gets EMBED_FAILED, one whose vectors hold no numbers NAN_VECTOR.
 */
export async function runRows(
  session: Session,
  rows: readonly Int32Array[],
  outputs: ReadonlySet<Output>,
): Promise<RowOutcome[]> {
  try {
    return (await session.run(rows, outputs)).map(checked)
  } catch (error) {
    if (rows.length === 1) return [failed(error, rows[0]?.length ?? 0)]
    const outcomes: RowOutcome[] = []
    for (const row of rows) outcomes.push(...(await runRows(session, [row], outputs)))
    return outcomes
  }
}

/** The vectors, unless one holds something that is no number. */
export const checked = (vectors: Vectors): RowOutcome =>
  [vectors.dense, vectors.sparse?.weights, vectors.colbert?.values].every(
    (values) => values === undefined || allFinite(values),
  )
    ? vectors
    : new CodedError('NAN_VECTOR', 'The model gave NaN, Infinity or only zeros for this text', {
        hint: 'The weights or this processor are at fault: check the model with `millrace models verify`',
      })

const failed = (error: unknown, tokens: number): CodedError =>
  new CodedError('EMBED_FAILED', `The model failed on a row of ${tokens} tokens: ${messageOf(error)}`, {
    hint: 'Where memory is short, a smaller BATCH_TOKENS or fewer models in the process help',
    cause: error,
  })
