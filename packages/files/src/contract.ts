import type { Format } from './formats.js'

/** A file as it was sent. */
export interface SourceFile {
  /** Its name; the extension says what it should be. May be empty. */
  readonly name: string
  /** The media type it was sent with, with its charset if it has one. */
  readonly mediaType?: string | undefined
  readonly bytes: Uint8Array
}

/** Where a page, sheet or slide starts in the text. */
export interface Part {
  readonly kind: 'page' | 'sheet' | 'slide'
  /** From 1. */
  readonly number: number
  /** A sheet's name, a slide's title. */
  readonly name?: string
  /** UTF-16 code units from the start of the text. */
  readonly start: number
}

/** What came out of a file. */
export interface Extracted {
  /** Markdown, or what is close to it: headings, lists, code and tables as such. Without NUL and lone surrogates. */
  readonly text: string
  /** What the file says its title is; null when it says nothing. */
  readonly title: string | null
  readonly format: Format
  /** What a text was decoded from, as its WHATWG label (`utf-8`, `gb18030`); null for PDF and OOXML. */
  readonly encoding: string | null
  /** Ascending by `start`; empty for formats without pages, sheets or slides. */
  readonly layout: readonly Part[]
  /** What of the file did not come out, in sentences. */
  readonly warnings: readonly string[]
}
