import { type Found, isPassedOver } from './picked.ts'

/** Told now and then while a large folder is walked. */
type OnFound = (files: number) => void

/**
 * The files of a drop, with those below dropped folders. Must be called in the event itself: afterwards the browser
 * has forgotten what was dropped.
 */
export async function filesOfDrop(transfer: DataTransfer, onFound: OnFound): Promise<Found<File>[]> {
  const entries = [...transfer.items]
    .filter(({ kind }) => kind === 'file')
    .map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }))
  const found: Found<File>[] = []
  for (const { entry, file } of entries) {
    if (entry?.isDirectory === true) await walk(entry as FileSystemDirectoryEntry, found, onFound)
    else if (file !== null) found.push(namedFile(file))
  }
  return found
}

export const namedFile = (file: File): Found<File> => ({
  path: file.name,
  isInFolder: false,
  size: file.size,
  file,
})

/** The files of an `<input type="file">`; of one that chooses folders, each with its path. */
export const filesOfInput = (files: FileList): Found<File>[] =>
  [...files].map((file) => {
    const { webkitRelativePath: path } = file
    return path === '' ? namedFile(file) : { path, isInFolder: true, size: file.size, file }
  })

async function walk(folder: FileSystemDirectoryEntry, found: Found<File>[], onFound: OnFound): Promise<void> {
  for (const entry of await entriesOf(folder)) {
    if (isPassedOver(entry.name)) continue
    if (entry.isDirectory) await walk(entry as FileSystemDirectoryEntry, found, onFound)
    else {
      const file = await new Promise<File>((resolve, reject) =>
        (entry as FileSystemFileEntry).file(resolve, reject),
      )
      found.push({ path: entry.fullPath.replace(/^\//, ''), isInFolder: true, size: file.size, file })
      if (found.length % 500 === 0) onFound(found.length)
    }
  }
}

/** A reader gives some entries at a time, none at the end. */
async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader()
  const entries: FileSystemEntry[] = []
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    )
    if (some.length === 0) return entries
    entries.push(...some)
  }
}
