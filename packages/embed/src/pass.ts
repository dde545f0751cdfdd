import { CodedError, messageOf } from '@millrace/errors'
import { allFinite } from './pool.js'
import type { Session } from './session.js'

/** A row's unit vector, or why it has none. */
export type RowOutcome = Float32Array | CodedError

/**
 * Runs rows in one pass. Where that fails they are run one by one, so that one bad row does not fail its
 * neighbours; the row that fails alone gets EMBED_FAILED, one whose vector holds no numbers NAN_VECTOR.
 */
export async function runRows(session: Session, rows: readonly Int32Array[]): Promise<RowOutcome[]> {
  try {
    return (await session.run(rows)).map(checked)
  } catch (error) {
    if (rows.length === 1) return [failed(error, rows[0]?.length ?? 0)]
    const outcomes: RowOutcome[] = []
    for (const row of rows) outcomes.push(...(await runRows(session, [row])))
    return outcomes
  }
}

/** The vector, unless it holds something that is no number. */
export const checked = (vector: Float32Array): RowOutcome =>
  allFinite(vector)
    ? vector
    : new CodedError('NAN_VECTOR', 'The model gave NaN, Infinity or only zeros for this text', {
        hint: 'The weights or this processor are at fault: check the model with verifyModel',
      })

const failed = (error: unknown, tokens: number): CodedError =>
  new CodedError('EMBED_FAILED', `The model failed on a row of ${tokens} tokens: ${messageOf(error)}`, {
    hint: 'Where memory is short, a smaller BATCH_TOKENS or fewer models in the process help',
    cause: error,
  })
