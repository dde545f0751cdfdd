import { CodedError, codeOf } from '@millrace/errors'

/** Without what stands behind a `?`, where some servers want a key. */
export const shown = (url: string): string => url.replace(/\?.*$/s, '')

export const aborted = (signal?: AbortSignal): CodedError =>
  new CodedError('ABORTED', 'The caller gave up before its texts were embedded', { cause: signal?.reason })

export const closed = (): CodedError =>
  new CodedError('ENGINE_CLOSED', 'The engine is closed', { retryable: true })

/** @param why what the last try ended with */
export const unavailable = (url: string, tries: number, why: string, cause?: unknown): CodedError =>
  new CodedError('REMOTE_UNAVAILABLE', `${shown(url)} did not answer in ${tries} tries: ${why}`, {
    hint: 'Try again later; whoever runs that server sees why',
    retryable: true,
    cause,
  })

/** What the server says is not repeated: some quote the key. */
export const unauthorized = (url: string, why: string, keyEnv: string | undefined): CodedError =>
  new CodedError('REMOTE_UNAUTHORIZED', `${shown(url)} cannot be asked: ${why}`, {
    hint:
      keyEnv === undefined
        ? 'Name the environment variable that holds the key as `remote.keyEnv` in the manifest'
        : `The key is taken from the environment variable ${keyEnv}: set it, or mend it, and start again`,
  })

export const refused = (url: string, why: string): CodedError =>
  new CodedError('REMOTE_REFUSED', `${shown(url)} refuses what it is asked: ${why}`, {
    hint: 'Compare `remote.kind`, `remote.url` and `remote.model` in the manifest with the server',
  })

/** For one text, whose neighbours the server takes. */
export const textRefused = (url: string, why: string): CodedError =>
  new CodedError('EMBED_FAILED', `${shown(url)} refuses this text: ${why}`, {
    hint: 'Where it is too long there, lower `tokensMax` in the manifest to what the server takes',
  })

export const badAnswer = (url: string, why: string, cause?: unknown): CodedError =>
  new CodedError('REMOTE_BAD_ANSWER', `${shown(url)} answers what cannot be read: ${why}`, {
    hint: 'Compare `remote.kind` and `remote.url` in the manifest with the server',
    cause,
  })

export const wrongDims = (url: string, has: number, wanted: number): CodedError =>
  new CodedError('REMOTE_DIMS', `${shown(url)} gives vectors of ${has} dims, the manifest says ${wanted}`, {
    hint: 'It is another model: correct `remote.model`, or `dims` where the manifest is wrong',
    details: { has, wanted },
  })

export const wrongTokensMax = (url: string, has: number, wanted: number): CodedError =>
  new CodedError(
    'REMOTE_TOKENS_MAX',
    `${shown(url)} takes ${has} tokens a text, the manifest says ${wanted}`,
    {
      hint: `Set \`tokensMax\` in the manifest to ${has} at most`,
      details: { has, wanted },
    },
  )

/** Whether it is a failure of a server that computes vectors, or of the way there: no text is at fault. */
export const isElsewhere = (error: unknown): boolean => codeOf(error).startsWith('REMOTE_')
