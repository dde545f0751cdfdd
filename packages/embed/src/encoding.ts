import { CodedError } from '@millrace/errors'
import type { EmbedRequest } from './contract.js'
import type { ModelManifest } from './manifest.js'
import { type Encoding, isCounted } from './outputs.js'
import { requireEmbedder } from './reranked.js'

/** Room for the special tokens and some of the text. */
const WINDOW_MIN = 8

/**
 * What a request asks for, with the defaults filled in.
 * @throws CodedError BAD_REQUEST when a value is none of those there are, NOT_AN_EMBEDDER, MISSING_OUTPUT when the model does not give an output, BAD_WINDOW when a window is larger
 * than the model takes
 */
export function encodingOf(manifest: ModelManifest, request: Omit<EmbedRequest, 'model'>): Encoding {
  checkRequest(request)
  requireEmbedder(manifest)
  const { outputs = ['dense'], window = manifest.tokensMax } = request
  const missing = outputs.filter((output) => !isCounted(output) && !manifest.outputs.includes(output))
  if (missing.length > 0 || outputs.length === 0) {
    throw new CodedError(
      'MISSING_OUTPUT',
      `${manifest.id} gives ${manifest.outputs.join(', ')}, asked for was ${outputs.join(', ') || 'nothing'}`,
      { hint: 'Ask for outputs that the model has' },
    )
  }
  if (!Number.isInteger(window) || window < WINDOW_MIN || window > manifest.tokensMax) {
    throw new CodedError(
      'BAD_WINDOW',
      `A window of ${window} tokens: it must be a whole number from ${WINDOW_MIN} to ${manifest.tokensMax}`,
      { hint: `${manifest.tokensMax} tokens is what ${manifest.id} takes` },
    )
  }
  return {
    outputs,
    window,
    windowPooling: request.windowPooling ?? 'mean',
    longTexts: request.longTexts ?? 'pool',
  }
}

const CHOICES = {
  kind: ['query', 'document', 'plain'],
  priority: [undefined, 'interactive', 'bulk'],
  longTexts: [undefined, 'pool', 'refuse', 'truncate'],
  windowPooling: [undefined, 'mean', 'max'],
} as const

/** For callers without types: what is none of the choices would be taken for one of them, or for ever waited for. */
function checkRequest(request: Omit<EmbedRequest, 'model'>): void {
  for (const field of ['kind', 'priority', 'longTexts', 'windowPooling'] as const) {
    const choices: readonly unknown[] = CHOICES[field]
    if (choices.includes(request[field])) continue
    throw badRequest(
      `${field} is ${JSON.stringify(request[field])}`,
      `it must be one of ${choices.filter(Boolean).join(', ')}`,
    )
  }
  if (!Array.isArray(request.texts) || request.texts.some((text) => typeof text !== 'string')) {
    throw badRequest('texts is not a list of strings', 'one text is a list of one')
  }
}

const badRequest = (what: string, hint: string): CodedError => new CodedError('BAD_REQUEST', what, { hint })
