import { openFetcher } from '@millrace/fetch'
import { openExtractor } from '@millrace/files'
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
export function openReading(settings: Settings, log: Log): Reading {
  const { fileBytes, textBytes, filePages } = settings.limits
  const files = openExtractor({
    limits: { fileBytes, textBytes, pages: filePages, timeMs: settings.fileSeconds * 1_000 },
    log: (message, details) => log.info(details, message),
  })
  const pages = openFetcher({
    allow: settings.urlAllow,
    seconds: settings.urlSeconds,
    bytesMax: fileBytes,
    redirectsMax: settings.urlRedirects,
  })
  return {
    files,
    pages,
    close: async () => {
      pages.close()
      await files.close()
    },
  }
}
