import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ModelFolder, parseFolder } from '@millrace/embed/manifest'

/** Manifests that ship with this package, as seen from the compiled file. */
const KNOWN_DIR = fileURLToPath(new URL('../known/', import.meta.url))

/**
 * The models that can be pulled by their id alone, by id. Those in the repository's models/ are not among them:
 * they are here already.
 * @param dir a folder of manifests, `<id>.json` each; default the package's own
 * @throws CodedError INVALID_MANIFEST
 */
export function knownModels(dir: string = KNOWN_DIR): Map<string, ModelFolder> {
  const names = readdirSync(dir).filter((name) => name.endsWith('.json'))
  const folders = names.sort().map((name) => {
    const file = join(dir, name)
    return parseFolder(JSON.parse(readFileSync(file, 'utf8')), file)
  })
  return new Map(folders.map((folder) => [folder.id, folder]))
}
