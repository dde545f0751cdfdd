import { CodedError } from '@millrace/errors'
import type { Extracted, SourceFile } from './contract.js'
import { closed, crashed, fileEmpty, fileTooLarge, outOfMemory, timedOut } from './errors.js'
import { LIMIT_DEFAULTS, type Limits } from './limits.js'
import { type Reading, startReading } from './reading.js'

export interface ExtractorOptions {
  /** What one file may cost; what is left out has its default. */
  readonly limits?: Partial<Limits>
  /** Files read at once, each in a process of its own. Default 1; the others wait. */
  readonly processes?: number
  /** Told when a process starts, and when one had to be ended or ended by itself. Default: nobody. */
  readonly log?: (message: string, details: Readonly<Record<string, unknown>>) => void
}

export interface Extractor {
  /**
   * A file's text. Throws a CodedError: FILE_EMPTY, FILE_TOO_LARGE, FILE_TYPE_UNKNOWN, FILE_TYPE_MISMATCH, FILE_BROKEN,
   * FILE_ENCRYPTED, FILE_NO_TEXT, FILE_UNPACKED_TOO_LARGE, FILE_TOO_MANY_PAGES, FILE_TEXT_TOO_LONG, FILE_TIMEOUT,
   * FILE_OUT_OF_MEMORY or FILE_CRASHED, none of which another try mends; EXTRACTOR_CLOSED after `close`.
   */
  readonly extract: (file: SourceFile) => Promise<Extracted>
  /** Ends the processes; files in work or waiting fail with EXTRACTOR_CLOSED. */
  readonly close: () => Promise<void>
}

interface Waiting {
  readonly file: SourceFile
  readonly resolve: (extracted: Extracted) => void
  readonly reject: (error: unknown) => void
}

/**
 * Reads files in processes that are killed when one takes too long or too much. A process starts with the first file,
 * is kept for the next ones, and does not keep this process alive while it is idle.
 */
export function openExtractor(options: ExtractorOptions = {}): Extractor {
  const limits: Limits = { ...LIMIT_DEFAULTS, ...options.limits }
  const log = options.log ?? (() => undefined)
  const waiting: Waiting[] = []
  const slots = Array.from({ length: options.processes ?? 1 }, () => ({
    reading: null as Reading | null,
    isBusy: false,
  }))
  let isClosed = false

  const next = () => {
    const slot = slots.find(({ isBusy }) => !isBusy)
    const job = slot === undefined ? undefined : waiting.shift()
    if (slot === undefined || job === undefined) return
    slot.isBusy = true
    readTwice(slot, job.file)
      .then(job.resolve, job.reject)
      .finally(() => {
        slot.isBusy = false
        next()
      })
    next()
  }

  /** A process that dies of itself gets one more try: it may have been somebody else's fault. */
  const readTwice = async (slot: { reading: Reading | null }, file: SourceFile): Promise<Extracted> => {
    let how = ''
    for (let attempt = 0; attempt < 2; attempt++) {
      if (isClosed) throw closed()
      if (slot.reading === null) {
        slot.reading = startReading(limits)
        log('a process that reads files started', { pid: slot.reading.pid })
      }
      const outcome = await slot.reading.read(file)
      if ('isSpent' in outcome && outcome.isSpent) {
        void slot.reading.stop()
        slot.reading = null
      }
      if (outcome.type === 'done') return outcome.extracted
      if (outcome.type === 'failed') {
        const { code, message, hint, details, retryable } = outcome.error
        throw new CodedError(code, message, { ...(hint === undefined ? {} : { hint }), details, retryable })
      }
      slot.reading = null
      if (isClosed) throw closed()
      const { type: why, how: ended, said } = outcome
      log('the process that reads files ended', { file: file.name, why, how: ended, said })
      if (outcome.type === 'timeout') throw timedOut(limits)
      if (outcome.type === 'memory') throw outOfMemory(limits)
      how = outcome.how
    }
    throw crashed(how)
  }

  return {
    extract: (file) => {
      if (isClosed) return Promise.reject(closed())
      if (file.bytes.length === 0) return Promise.reject(fileEmpty(file.name))
      if (file.bytes.length > limits.fileBytes) {
        return Promise.reject(fileTooLarge(file.name, file.bytes.length, limits))
      }
      return new Promise((resolve, reject) => {
        waiting.push({ file, resolve, reject })
        next()
      })
    },
    close: async () => {
      isClosed = true
      for (const { reject } of waiting.splice(0)) reject(closed())
      await Promise.all(slots.map(({ reading }) => reading?.stop()))
    },
  }
}
