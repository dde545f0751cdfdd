/** What one file may cost. */
export interface Limits {
  /** Bytes of the file itself. Default 256 MiB. */
  readonly fileBytes: number
  /** UTF-8 bytes of the text that comes out. Default 16 MiB. */
  readonly textBytes: number
  /** Bytes of everything in a ZIP (DOCX, XLSX, PPTX), counted while it is inflated. Default 512 MiB. */
  readonly unpackedBytes: number
  /** How often a ZIP may be its own size, above 16 MiB. Default 200. */
  readonly unpackedRatio: number
  /** Entries of a ZIP. Default 20,000. */
  readonly entries: number
  /** Pages of a PDF, slides of a PPTX. Default 10,000. */
  readonly pages: number
  /** Sheets of an XLSX. Default 1,000. */
  readonly sheets: number
  /** Milliseconds from the time the file is begun. Default 120,000. */
  readonly timeMs: number
  /** Resident bytes of the process that reads the file. Default 1 GiB. */
  readonly memoryBytes: number
}

const MIB = 2 ** 20

export const LIMIT_DEFAULTS: Limits = {
  fileBytes: 256 * MIB,
  textBytes: 16 * MIB,
  unpackedBytes: 512 * MIB,
  unpackedRatio: 200,
  entries: 20_000,
  pages: 10_000,
  sheets: 1_000,
  timeMs: 120_000,
  memoryBytes: 1024 * MIB,
}

/** Below this many unpacked bytes no ratio counts: a small file of one repeated character is no attack. */
export const RATIO_FREE_BYTES = 16 * MIB
