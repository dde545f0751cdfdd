import { isUtf8 } from 'node:buffer'
import { readFile, stat } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { CodedError, codeOf, messageOf } from '@millrace/errors'
import { titleOf } from '@millrace/text'
import { parse as parseYaml } from 'yaml'
import type { FoundFile } from './find.js'

export interface FileDocument {
  readonly id: string
  readonly title: string
  readonly text: string
  readonly metadata: { readonly path: string }
}

/** A file that did not become a searchable document, and why. */
export interface BadFile {
  /** As the file was named or found, so that it can be opened. */
  readonly path: string
  readonly code: string
  readonly message: string
}

/** Characters of a title at most; a line that is longer is a paragraph that looks like a heading. */
const TITLE_CHARS_MAX = 500
/** Bytes of a text that is read whole; a longer one is sent as a file, in pieces. */
export const TEXT_BYTES = 8 * 1024 * 1024

const utf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * The file as a document; or as one whose bytes are sent, when it is too large or not UTF-8, for the server to
 * read; or what is wrong with it.
 */
export async function readDocument(file: FoundFile): Promise<FileDocument | FoundFile | BadFile> {
  if (file.kind === 'file') return file
  try {
    if ((await stat(file.path)).size > TEXT_BYTES) return { ...file, kind: 'file' }
    const bytes = await readFile(file.path)
    // UTF-16 without a mark is valid UTF-8 full of NULs: the server tells which it is.
    if (!isUtf8(bytes) || bytes.includes(0)) return { ...file, kind: 'file' }
    const text = utf8.decode(bytes)
    return {
      id: file.id,
      title: titleFor(text, nameOf(file.id)),
      text,
      metadata: { path: file.id },
    }
  } catch (error) {
    return badFile(file.path, error)
  }
}

/** A file that cannot be read, by the code that says why. */
export const badFile = (path: string, error: unknown): BadFile => ({
  path,
  code: error instanceof CodedError ? error.code : codeOf(error),
  message: messageOf(error),
})

/** The title in the text, else `name`, of a length that the server takes. */
export const titleFor = (text: string, name: string): string =>
  (titleIn(text) ?? name).slice(0, TITLE_CHARS_MAX).toWellFormed()

const nameOf = (id: string): string => basename(id, extname(id))

/** What the front matter calls it, else the first heading. */
export function titleIn(text: string): string | undefined {
  const matter = /^\uFEFF?---[ \t]*\r?\n([\s\S]*?)\r?\n---[ \t]*(?:\r?\n|$)/.exec(text)
  return (matter?.[1] === undefined ? undefined : matterTitle(matter[1])) ?? titleOf(text)
}

function matterTitle(yaml: string): string | undefined {
  try {
    const fields: unknown = parseYaml(yaml)
    if (fields === null || typeof fields !== 'object' || !('title' in fields)) return undefined
    return typeof fields.title === 'string' && fields.title.trim() !== '' ? fields.title.trim() : undefined
  } catch {
    // Not YAML after all: the heading will do.
    return undefined
  }
}
