import { CodedError } from '@millrace/errors'
import type { Limits } from './limits.js'

const mib = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`
const quoted = (name: string): string => (name === '' ? 'The file' : JSON.stringify(name))

export const fileEmpty = (name: string) =>
  new CodedError('FILE_EMPTY', `${quoted(name)} has no bytes`, {
    hint: 'Check that the file was saved and sent whole.',
  })

export const fileTooLarge = (name: string, bytes: number, limits: Limits) =>
  new CodedError(
    'FILE_TOO_LARGE',
    `${quoted(name)} has ${bytes} bytes; ${limits.fileBytes} are read at most`,
    {
      hint: 'Divide the file.',
      details: { bytes, max: limits.fileBytes },
    },
  )

export const typeUnknown = (name: string, found: string) =>
  new CodedError('FILE_TYPE_UNKNOWN', `${quoted(name)} is of a kind that is not read: ${found}`, {
    hint: 'Send text, Markdown, HTML, PDF, DOCX, XLSX, PPTX, CSV, JSON or JSON Lines.',
    details: { found },
  })

export const typeMismatch = (name: string, expected: string, found: string) =>
  new CodedError(
    'FILE_TYPE_MISMATCH',
    `${quoted(name)} says it is ${expected}, but its content is ${found}`,
    {
      hint: 'Give the file the extension and media type of what it is.',
      details: { expected, found },
    },
  )

export const fileBroken = (what: string, cause?: unknown) =>
  new CodedError('FILE_BROKEN', `The file cannot be read: ${what}`, {
    hint: 'Open it in the program that wrote it, and save it again.',
    cause,
  })

export const fileEncrypted = () =>
  new CodedError('FILE_ENCRYPTED', 'The file opens with a password only', {
    hint: 'Save it without a password.',
  })

export const noText = (what: string) =>
  new CodedError('FILE_NO_TEXT', what, {
    hint: 'Run text recognition (OCR) over scanned pages and send the result.',
  })

export const unpackedTooLarge = (what: string, details: object) =>
  new CodedError('FILE_UNPACKED_TOO_LARGE', what, {
    hint: 'Send the file without what makes it large, or divide it.',
    details,
  })

export const tooManyPages = (count: number, kind: 'pages' | 'sheets' | 'slides', max: number) =>
  new CodedError('FILE_TOO_MANY_PAGES', `The file has ${count} ${kind}; ${max} are read at most`, {
    hint: 'Divide the file.',
    details: { [kind]: count, max },
  })

export const textTooLong = (limits: Limits) =>
  new CodedError('FILE_TEXT_TOO_LONG', `The file's text is above ${mib(limits.textBytes)}`, {
    hint: 'Divide the file.',
    details: { max: limits.textBytes },
  })

export const timedOut = (limits: Limits) =>
  new CodedError('FILE_TIMEOUT', `The file was not read within ${limits.timeMs} ms`, {
    hint: 'Divide the file, or save it again in the program that wrote it.',
    details: { max: limits.timeMs },
  })

export const outOfMemory = (limits: Limits) =>
  new CodedError(
    'FILE_OUT_OF_MEMORY',
    `Reading the file took more than ${mib(limits.memoryBytes)} of memory`,
    {
      hint: 'Divide the file.',
      details: { max: limits.memoryBytes },
    },
  )

export const crashed = (how: string) =>
  new CodedError('FILE_CRASHED', `The process that read the file ended twice (${how})`, {
    hint: 'Save the file again in the program that wrote it; if that does not help, report it with the file.',
  })

export const closed = () =>
  new CodedError('EXTRACTOR_CLOSED', 'The reader of files is closed', {
    hint: 'Try again once the process has started anew.',
    retryable: true,
  })
