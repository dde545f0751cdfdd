import { InvalidArgumentError } from 'commander'

/** Kinds of score that have a threshold. */
export const KINDS = ['dense', 'sparse', 'hybrid', 'colbert', 'rerank']

export type ThresholdsSet = Readonly<Record<string, { readonly threshold: number | null }>>

/** `dense=0.4` or `dense=none`, once for each kind. */
export function setOne(value: string, before: ThresholdsSet = {}): ThresholdsSet {
  const [kind = '', text = ''] = value.split('=').map((part) => part.trim())
  const threshold = text === 'none' ? null : Number(text)
  if (KINDS.includes(kind) && text !== '' && (threshold === null || Number.isFinite(threshold))) {
    return { ...before, [kind]: { threshold } }
  }
  throw new InvalidArgumentError(`It must be such as dense=0.4 or dense=none, of ${KINDS.join(', ')}.`)
}
