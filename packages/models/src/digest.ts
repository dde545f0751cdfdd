import { createHash, type Hash } from 'node:crypto'

/**
 * A file as it should be. A hub knows the sha256 of its large files only; of the others it has git's own hash of them.
 */
export interface WantedFile {
  readonly path: string
  readonly bytes: number
  readonly sha256?: string | undefined
  /** Counts when there is no sha256. */
  readonly gitOid?: string | undefined
}

/** What takes the bytes of the file, from the first on. */
export const hashFor = ({ bytes, sha256 }: WantedFile): Hash =>
  sha256 === undefined ? createHash('sha1').update(`blob ${bytes}\0`) : createHash('sha256')

export const digestFor = ({ sha256, gitOid }: WantedFile): string => sha256 ?? gitOid ?? ''
export const digestName = ({ sha256 }: WantedFile): string => (sha256 === undefined ? 'git hash' : 'sha256')
