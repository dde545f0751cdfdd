import { fileBroken, typeMismatch } from '../errors.js'
import { readXml } from '../xml.js'
import type { Archive } from '../zip.js'

/** What an office package says about its parts. */
export interface Relation {
  /** The last word of its type: `slide`, `notesSlide`, `sharedStrings`. */
  readonly type: string
  /** A name of an entry. */
  readonly target: string
}

export type OfficeFormat = 'docx' | 'xlsx' | 'pptx'

/** Namespaces of main parts; their content types say which of the formats a package is. */
const MAIN: readonly (readonly [RegExp, OfficeFormat])[] = [
  [
    /wordprocessingml\.(?:document|template)\.main|ms-word\.(?:document|template)\.macroEnabled\.main/i,
    'docx',
  ],
  [/spreadsheetml\.(?:sheet|template)\.main|ms-excel\.(?:sheet|template)\.macroEnabled\.main/i, 'xlsx'],
  [
    /presentationml\.(?:presentation|slideshow|template)\.main|ms-powerpoint\.\w+\.macroEnabled\.main/i,
    'pptx',
  ],
]

/** Which office format a ZIP is; null when it is none. */
export async function officeFormat(archive: Archive): Promise<OfficeFormat | null> {
  const types = await archive.read('[Content_Types].xml')
  if (types === null) return null
  let format: OfficeFormat | null = null
  readXml(types, '[Content_Types].xml', {
    open: (_name, attribute) => {
      const type = attribute('ContentType') ?? ''
      format ??= MAIN.find(([pattern]) => pattern.test(type))?.[1] ?? null
    },
  })
  return format
}

/** A part's relations by id; external ones (links, linked pictures) are left out. */
export async function relationsOf(archive: Archive, part: string): Promise<Map<string, Relation>> {
  const slash = part.lastIndexOf('/')
  const folder = part.slice(0, slash + 1)
  const name = `${folder}_rels/${part.slice(slash + 1)}.rels`
  const relations = new Map<string, Relation>()
  const bytes = await archive.read(name)
  if (bytes === null) return relations
  readXml(bytes, name, {
    open: (element, attribute) => {
      if (element !== 'Relationship' || attribute('TargetMode') === 'External') return
      const type = attribute('Type') ?? ''
      const target = resolve(folder, attribute('Target') ?? '')
      relations.set(attribute('Id') ?? '', { type: type.slice(type.lastIndexOf('/') + 1), target })
    },
  })
  return relations
}

/** The package's main part, `word/document.xml` or whatever it is called here. */
export async function mainPart(archive: Archive): Promise<string> {
  for (const { type, target } of (await relationsOf(archive, '')).values()) {
    if (type === 'officeDocument') return target
  }
  throw fileBroken('the package does not say what its document is')
}

/** The part of a name, which must be there. */
export async function requiredPart(archive: Archive, name: string): Promise<Buffer> {
  const bytes = await archive.read(name)
  if (bytes === null) throw fileBroken(`${name} is missing`)
  return bytes
}

/** The title in the package's properties; null when it is missing or blank. */
export async function titleIn(archive: Archive): Promise<string | null> {
  const bytes = await archive.read('docProps/core.xml')
  if (bytes === null) return null
  let isTitle = false
  let title = ''
  readXml(bytes, 'docProps/core.xml', {
    open: (name) => {
      isTitle = name === 'title'
    },
    text: (text) => {
      if (isTitle) title += text
    },
    close: () => {
      isTitle = false
    },
  })
  title = title.trim()
  // What PowerPoint calls a presentation that nobody named.
  return title === '' || title === 'PowerPoint Presentation' || title === 'PowerPoint 演示文稿' ? null : title
}

/** Throws FILE_TYPE_MISMATCH unless the package is what it was taken for. */
export async function checkOffice(archive: Archive, name: string, expected: OfficeFormat): Promise<void> {
  const format = await officeFormat(archive)
  if (format !== expected) throw typeMismatch(name, expected, format ?? 'zip')
}

function resolve(folder: string, target: string): string {
  if (target.startsWith('/')) return target.slice(1)
  const path = folder.split('/').slice(0, -1)
  for (const step of target.split('/')) {
    if (step === '..') path.pop()
    else if (step !== '.' && step !== '') path.push(step)
  }
  return path.join('/')
}
