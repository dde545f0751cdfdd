import { CodedError } from '@millrace/errors'
import type { Source } from './source.js'

export type TokenPooling = 'cls' | 'mean' | 'max'

/** Families whose positions are counted from the pad id on, so that so many of them are never used. */
const OFFSET_FAMILIES = new Set(['roberta', 'xlm-roberta', 'xlm-roberta-xl', 'camembert', 'mpnet'])

/** Read in one pass where nothing says how much: windows of this many tokens are pooled. */
const TOKENS_UNSAID = 512
/** What tokenizers write for "no limit", and what is as good as none. */
const TOKENS_SANE = 1_000_000

export const architectureOf = (modelType: string | undefined): 'bert' | 'xlm-roberta' | 'other' =>
  modelType === 'bert' || modelType === 'xlm-roberta' ? modelType : 'other'

export interface Decided<T> {
  readonly value: T
  /** Where it is from, for whoever imports. */
  readonly why: string
}

/**
 * How many tokens the model reads, special ones included: what it has positions for. `max_seq_length` and the
 * tokenizer's truncation are conventions of its training, and count only where there is no such number.
 */
export function tokensMaxOf({ config, maxSeqLength, modelMaxLength, tokenizer }: Source): Decided<number> {
  const positions = config.max_position_embeddings
  if (positions !== undefined) {
    const isOffset = OFFSET_FAMILIES.has(config.model_type ?? '')
    const value = isOffset ? positions - (config.pad_token_id ?? 1) - 1 : positions
    const others = [
      ...(maxSeqLength !== undefined && maxSeqLength !== value ? [`max_seq_length ${maxSeqLength}`] : []),
      ...(tokenizer.truncation !== undefined && tokenizer.truncation !== value
        ? [`tokenizer.json's truncation at ${tokenizer.truncation}`]
        : []),
    ]
    const aside = others.length === 0 ? '' : `; ${others.join(' and ')} not used`
    return {
      value,
      why: `max_position_embeddings ${positions}${isOffset ? ' less pad id and 1' : ''}${aside}`,
    }
  }
  if (maxSeqLength !== undefined) return { value: maxSeqLength, why: 'max_seq_length' }
  if (modelMaxLength !== undefined && modelMaxLength < TOKENS_SANE) {
    return { value: modelMaxLength, why: "the tokenizer's model_max_length" }
  }
  return { value: TOKENS_UNSAID, why: 'no file says how many; longer texts are read in windows' }
}

const MODES: Readonly<Record<string, TokenPooling>> = {
  pooling_mode_cls_token: 'cls',
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_max_tokens: 'max',
}

/**
 * What 1_Pooling says; undefined where there is none.
 * @throws CodedError UNSUPPORTED_POOLING, naming what it asks for
 */
export function poolingOf({ pooling, poolingFile, modules }: Source): TokenPooling | undefined {
  if (pooling === undefined) return undefined
  const strange = modules.find(({ type }) => !/\.(Transformer|Pooling|Normalize)$/.test(type))
  if (strange !== undefined) throw unsupported(`modules.json has ${strange.type}`)
  const named = typeof pooling.pooling_mode === 'string' ? pooling.pooling_mode : undefined
  const modes = Object.keys(pooling).filter((key) => key.startsWith('pooling_mode_') && pooling[key] === true)
  const [mode, ...others] =
    named === undefined ? modes : [`pooling_mode_${named}${named === 'cls' ? '_token' : '_tokens'}`]
  const known = mode === undefined ? undefined : MODES[mode]
  if (known !== undefined && others.length === 0) return known
  throw unsupported(
    `${poolingFile} asks for ${mode === undefined ? 'none' : [mode, ...others].join(' and ')}`,
  )
}

const unsupported = (what: string): CodedError =>
  new CodedError('UNSUPPORTED_POOLING', `${what}, which is not cls, mean or max of the tokens`, {
    hint: 'A graph with an output sentence_embedding can pool in any way; export that one, without 1_Pooling',
  })

/** Below this part of the graph's vocabulary a tokenizer is another model's: paddings of the table are smaller. */
const VOCABULARY_PART = 0.9

/**
 * @throws CodedError OTHER_TOKENIZER when the tokenizer knows far fewer tokens than the model has
 */
export function checkVocabulary({ config, tokenizer, dir }: Source): void {
  if (config.vocab_size === undefined || tokenizer.size >= VOCABULARY_PART * config.vocab_size) return
  throw otherTokenizer(dir, `it has ${tokenizer.size} tokens, config.json says ${config.vocab_size}`)
}

export const otherTokenizer = (dir: string, why: string, cause?: unknown): CodedError =>
  new CodedError('OTHER_TOKENIZER', `The tokenizer.json in ${dir} is not that of its graph: ${why}`, {
    hint: 'Take tokenizer.json from where the graph is from',
    cause,
  })

export const padIdOf = ({ config, tokenizer }: Source): number => config.pad_token_id ?? tokenizer.padId ?? 0
