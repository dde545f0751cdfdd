import { CodedError } from '@millrace/errors'
import { openFetcher } from '@millrace/fetch'
import type { Log } from './log.js'
import type { Settings } from './settings.js'
import type { FileReader, PageFetcher } from './verbs/read.js'

/** What turns files and URLs into text. */
export interface Reading {
  readonly files: FileReader
  readonly pages: PageFetcher
  close(): Promise<void>
}

/** Starts nothing: the process that reads files starts with the first file. */
export function openReading(settings: Settings, _log: Log): Reading {
  const files: FileReader = {
    extract: async () => {
      throw new CodedError('FILE_TYPE_UNKNOWN', 'Files cannot be read yet')
    },
  }
  const pages = openFetcher({
    allow: settings.urlAllow,
    seconds: settings.urlSeconds,
    bytesMax: settings.limits.fileBytes,
    redirectsMax: settings.urlRedirects,
  })
  return { files, pages, close: async () => pages.close() }
}
