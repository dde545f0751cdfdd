import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { countDocuments, type Db, listGolden, type MoveSource, readSlice } from '@millrace/store'
import { type Pack, pack } from 'tar-stream'
import { isExternal, storedRecipe } from '../external.js'
import type { Domain } from '../verbs/domains.js'
import { CHECKSUMS, type Entry, entriesOf, entry, linesOf, MANIFEST } from './entries.js'
import {
  type Checksums,
  type Counts,
  FORMAT,
  FORMAT_VERSION,
  goldenJson,
  type Manifest,
  NO_COUNTS,
} from './format.js'

interface Deps {
  readonly db: Db
  /** Of this program, for whoever wonders what wrote an archive. */
  readonly version: string
}

/** Golden questions read at a time. */
const GOLDEN_PAGE = 1_000

/**
 * A domain as an archive: its live generation, the text of every document, chunks, vectors as they are stored, golden
 * questions, files. A document that stands there from beginning to end is in it, as it was at one moment; what comes or
 * goes meanwhile may be. No more is read than is taken, and no transaction is open in between.
 */
export async function exportDomain(deps: Deps, domain: Domain): Promise<Readable> {
  const counted = await countDocuments(deps.db, [domain.id])
  const manifest = manifestOf(domain, deps.version, counted.get(domain.id)?.total ?? 0)
  const archive = pack()
  // What is wrong reaches whoever reads: an archive that breaks off has no checksums, and is refused everywhere.
  writeAll(archive, entriesOfDomain(deps.db, domain, manifest)).catch((error: unknown) => {
    archive.destroy(error instanceof Error ? error : new Error(String(error)))
  })
  return Readable.from(archive, { objectMode: false })
}

function manifestOf(domain: Domain, version: string, documents: number): Manifest {
  const { model, dims, recipeHash, storage, outputs, lexical, counted, index } = domain
  return {
    format: FORMAT,
    formatVersion: FORMAT_VERSION,
    millrace: version,
    exportedAt: new Date().toISOString(),
    domain: {
      name: domain.name,
      search: domain.search as Manifest['domain']['search'],
      thresholds: domain.bands.map(({ levels, ...band }) => ({
        ...band,
        levels: levels === null ? null : levels.map((level) => ({ ...level, name: { ...level.name } })),
      })),
    },
    generation: {
      model,
      dims,
      recipe: { ...(isExternal(domain) ? storedRecipe(dims) : domain.recipe) },
      recipeHash,
      storage,
      outputs: [...outputs],
      lexical,
      counted,
      index: { ...index },
    },
    documents,
  }
}

async function* entriesOfDomain(db: Db, domain: Domain, manifest: Manifest): AsyncGenerator<Entry> {
  const entries: Checksums['entries'] = {}
  let counts = NO_COUNTS
  const noted = (one: Entry): Entry => {
    if (!one.isFile) entries[one.name] = checksumOf(one)
    return one
  }
  yield noted(entry(MANIFEST, Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`)))
  const source: MoveSource = {
    domainId: domain.id,
    generationId: domain.generationId,
    form: { storage: domain.storage, dims: domain.dims },
    outputs: domain.outputs,
  }
  let after: string | null = null
  for (let part = 1; ; part++) {
    const read: Awaited<ReturnType<typeof readSlice>> = await readSlice(db, source, after)
    if (read === undefined) break
    after = read.last
    const { documents, chunks, vectors, files } = read.slice
    counts = add(counts, {
      documents: documents.length,
      chunks: chunks.length,
      vectors: vectors.length,
      files: files.size,
    })
    for (const one of entriesOf(part, source.form, read.slice)) yield noted(one)
  }
  let golden: string | undefined
  for (let piece = 0; ; ) {
    const page = await listGolden(db, domain.id, { after: golden, limit: GOLDEN_PAGE })
    golden = page.at(-1)?.externalId
    if (golden === undefined) break
    counts = add(counts, { golden: page.length })
    for (const { pieces } of linesOf('', page.map(goldenJson))) {
      piece++
      yield noted({ name: `golden-${piece}.ndjson`, pieces, isFile: false })
    }
  }
  const checksums: Checksums = { entries, counts }
  yield entry(CHECKSUMS, Buffer.from(`${JSON.stringify(checksums, null, 2)}\n`))
}

const add = (counts: Counts, more: Partial<Counts>): Counts => ({
  documents: counts.documents + (more.documents ?? 0),
  chunks: counts.chunks + (more.chunks ?? 0),
  vectors: counts.vectors + (more.vectors ?? 0),
  files: counts.files + (more.files ?? 0),
  golden: counts.golden + (more.golden ?? 0),
})

function checksumOf({ pieces }: Entry): Checksums['entries'][string] {
  const hash = createHash('sha256')
  for (const piece of pieces) hash.update(piece)
  return { bytes: sizeOf(pieces), sha256: hash.digest('hex') }
}

const sizeOf = (pieces: readonly Buffer[]): number => pieces.reduce((sum, { length }) => sum + length, 0)

async function writeAll(archive: Pack, entries: AsyncIterable<Entry>): Promise<void> {
  for await (const one of entries) await writeEntry(archive, one)
  archive.finalize()
}

/** Resolves when whoever reads has taken it, so that no more is in memory than one part. */
function writeEntry(archive: Pack, { name, pieces }: Entry): Promise<void> {
  return new Promise((resolve, reject) => {
    const into = archive.entry({ name, size: sizeOf(pieces) }, (error) => (error ? reject(error) : resolve()))
    for (const piece of pieces.slice(0, -1)) into.write(piece)
    into.end(pieces.at(-1))
  })
}
