import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { Engine } from '@millrace/embed'
import { CodedError, codeOf } from '@millrace/errors'
import {
  addFilePiece,
  addGoldenRows,
  beginImport,
  type Db,
  dropImport,
  dropLostImports,
  finishImport,
  isImporting,
  PART_BYTES,
  type StartedImport,
} from '@millrace/store'
import { isExternal } from '../external.js'
import { questionHash } from '../golden/accept.js'
import type { Limits } from '../settings.js'
import { domainExists, domainImporting } from '../verbs/domains.js'
import { type ArrivingEntry, badArchive, readArchive, readWhole } from './archive.js'
import { CHECKSUMS, MANIFEST } from './entries.js'
import { type Checksums, type Counts, checksumsSchema, ENTRY_BYTES, goldenLine, NO_COUNTS } from './format.js'
import { decode, readJson, readLines } from './lines.js'
import { acceptManifest, readManifest } from './manifest.js'
import {
  advance,
  closePart,
  newPart,
  ownerOfFile,
  type Part,
  type PartTarget,
  takeArray,
  takeChunks,
  takeColbert,
  takeDocuments,
  takeParents,
  takeTerms,
} from './part.js'

interface Deps {
  readonly db: Db
  readonly engine: Engine
  readonly settings: { readonly limits: Pick<Limits, 'textBytes' | 'metadataBytes'> }
}

export interface Imported extends Counts {
  readonly domain: string
  readonly model: string
  /** What the documents belong to, as to a submission. */
  readonly ingestion: string
  /** Of the documents, those that are found at once; the others are prepared and embedded by the workers. */
  readonly ready: number
  readonly bytes: number
}

/**
 * A domain from an archive, as it arrives: nobody sees it before all of it was there and was right, and nothing of it
 * stays otherwise. No text is embedded that came with its vector.
 * @throws CodedError BAD_ARCHIVE, ARCHIVE_TOO_NEW, ARCHIVE_MODEL, DOMAIN_EXISTS, DOMAIN_IMPORTING, BODY_INCOMPLETE,
 * IMPORT_ENDED
 */
export async function importDomain(deps: Deps, name: string, stream: Readable): Promise<Imported> {
  const most = ENTRY_BYTES + 2 * deps.settings.limits.textBytes
  const entries = readArchive(stream)
  try {
    const first = await entries.next()
    if (first.done === true) throw badArchive(null, 'has nothing in it')
    if (first.value.says.kind !== 'manifest') throw badArchive(first.value.name, `comes before ${MANIFEST}`)
    const { bytes, sha256 } = await readWhole(first.value, most)
    const { domain, instruction } = acceptManifest(deps.engine, name, readManifest(bytes))
    const to = await begin(deps.db, domain)
    try {
      const target = {
        ...deps,
        to,
        outputs: domain.outputs ?? [],
        instruction: isExternal(domain) ? null : instruction,
      }
      const arriving = newArrival({ [MANIFEST]: { bytes: bytes.length, sha256 } })
      await takeAll(target, arriving, entries, most)
      await finishImport(deps.db, to, domain, arriving)
      return {
        domain: name,
        model: domain.model,
        ingestion: String(to.ingestionId),
        ready: arriving.ready,
        bytes: arriving.bytes,
        ...arriving.counts,
      }
    } catch (error) {
      // Should this fail too, the sweep does it; what went wrong first is what the caller has to know.
      await dropImport(deps.db, to).catch(() => undefined)
      throw typed(error, name)
    }
  } finally {
    await entries.return(undefined)
  }
}

type Imports = Parameters<typeof beginImport>[1]

async function begin(db: Db, domain: Imports): Promise<StartedImport> {
  await dropLostImports(db, domain.name)
  const to = await beginImport(db, domain).catch((error: unknown) => {
    throw typed(error, domain.name)
  })
  if (to !== undefined) return to
  throw (await isImporting(db, domain.name)) ? domainImporting(domain.name) : domainExists(domain.name)
}

/** Postgres's classes of errors about values: what the archive holds cannot be kept. */
const OF_VALUES = /^2[23]/
const OF_CODE: Readonly<Record<string, string>> = {
  '22021': 'a NUL character in a text',
  '22P05': 'a NUL character in a text',
  '22003': 'a number that is too large',
  '23514': 'values that no document has',
}

function typed(error: unknown, name: string): unknown {
  const code = codeOf(error)
  // Its rows went under our hands: the domain was deleted between two statements.
  if (code === '42P01' || code === '23503') {
    return new CodedError('IMPORT_ENDED', `The import of "${name}" was ended before it was whole`, {
      hint: 'The domain was deleted meanwhile: import it again',
      details: { domain: name },
      cause: error,
    })
  }
  if (code === '23505') return badArchive(null, 'has two documents or questions of one id', error)
  return OF_VALUES.test(code)
    ? badArchive(null, `holds ${OF_CODE[code] ?? 'what cannot be kept'}`, error)
    : error
}

/** What has come so far. */
interface Arrival {
  part: Part | undefined
  counts: Counts
  ready: number
  chunks: number
  tokens: number
  bytes: number
  /** Of the entries, for the checksums to be compared with. */
  readonly sums: Record<string, Checksums['entries'][string]>
}

const newArrival = (sums: Arrival['sums']): Arrival => ({
  part: undefined,
  counts: NO_COUNTS,
  ready: 0,
  chunks: 0,
  tokens: 0,
  bytes: 0,
  sums: { ...sums },
})

async function takeAll(
  target: PartTarget,
  arrival: Arrival,
  entries: AsyncIterable<ArrivingEntry>,
  most: number,
): Promise<void> {
  let isWhole = false
  for await (const one of entries) {
    if (isWhole) throw badArchive(one.name, `stands behind ${CHECKSUMS}`)
    if (arrival.sums[one.name] !== undefined) throw badArchive(one.name, 'is there twice')
    arrival.bytes += one.size
    if (one.says.kind === 'files') {
      await takeFile(target, partOf(target, arrival, one, one.says.part), one)
      arrival.counts = { ...arrival.counts, files: arrival.counts.files + 1 }
      continue
    }
    const { bytes, sha256 } = await readWhole(one, most)
    if (one.says.kind === 'checksums') {
      leavePart(target, arrival)
      compare(arrival, readJson(CHECKSUMS, decode(CHECKSUMS, bytes), checksumsSchema))
      isWhole = true
      continue
    }
    arrival.sums[one.name] = { bytes: bytes.length, sha256 }
    await takeEntry(target, arrival, one, bytes)
  }
  if (!isWhole) throw badArchive(null, `ends before ${CHECKSUMS}: it broke off`)
}

async function takeEntry(
  target: PartTarget,
  arrival: Arrival,
  one: ArrivingEntry,
  bytes: Buffer,
): Promise<void> {
  const { name, says } = one
  if (says.kind === 'manifest') throw badArchive(name, 'is there twice')
  if (says.kind === 'golden') {
    leavePart(target, arrival)
    await takeGolden(target, arrival, name, bytes)
    return
  }
  if (says.kind === 'checksums') return
  const part = partOf(target, arrival, one, says.part)
  switch (says.kind) {
    case 'documents':
      return takeDocuments(target, part, name, bytes)
    case 'parents':
      return takeParents(target, part, name, bytes)
    case 'chunks':
      return takeChunks(target, part, name, bytes)
    case 'vectors':
      return takeArray(target, part, name, { array: says.array, bytes })
    case 'terms':
      return takeTerms(target, part, name, bytes)
    case 'colbert':
      return takeColbert(target, part, name, bytes)
  }
}

/** The part that an entry is of, and the one before it is complete. */
function partOf(target: PartTarget, arrival: Arrival, { name, says }: ArrivingEntry, number: number): Part {
  const { part } = arrival
  if (part === undefined || part.number !== number) {
    const next = (part?.number ?? 0) + 1
    if (number !== next || arrival.counts.golden > 0)
      throw badArchive(name, `comes where part ${next} should`)
    leavePart(target, arrival)
    arrival.part = newPart(number)
  }
  const now = arrival.part ?? newPart(number)
  if (says.kind !== 'manifest' && says.kind !== 'checksums' && says.kind !== 'golden')
    advance(now, says.kind, name)
  return now
}

function leavePart(target: PartTarget, arrival: Arrival): void {
  const { part, counts } = arrival
  if (part === undefined) return
  closePart(target, part)
  arrival.ready += [...part.documents.values()].filter(({ chunks }) => chunks !== null).length
  arrival.chunks += part.chunks
  arrival.tokens += part.tokens
  arrival.counts = {
    ...counts,
    documents: counts.documents + part.documents.size,
    chunks: counts.chunks + part.chunks,
    vectors: counts.vectors + part.vectors.size,
  }
  // Left, but for its number.
  arrival.part = newPart(part.number)
}

/** A file in rows of the size that files have, as its bytes arrive. */
async function takeFile({ db, to }: PartTarget, part: Part, { name, bytes }: ArrivingEntry): Promise<void> {
  const { id, sha256 } = ownerOfFile(part, name)
  const hash = createHash('sha256')
  let kept: Buffer[] = []
  let length = 0
  let row = 0
  const write = async () => {
    if (length === 0) return
    await addFilePiece(db, to, { documentId: id, part: row++, bytes: Buffer.concat(kept) })
    kept = []
    length = 0
  }
  for await (const piece of bytes) {
    hash.update(piece)
    for (let at = 0; at < piece.length; ) {
      const some = piece.subarray(at, at + PART_BYTES - length)
      kept.push(some)
      length += some.length
      at += some.length
      if (length === PART_BYTES) await write()
    }
  }
  await write()
  if (sha256 !== null && !hash.digest().equals(sha256))
    throw badArchive(name, 'is not the file that its hash is of')
}

async function takeGolden(
  { db, to }: PartTarget,
  arrival: Arrival,
  name: string,
  bytes: Buffer,
): Promise<void> {
  const rows = readLines(name, bytes, goldenLine).map(({ id, ...question }) => ({
    ...question,
    externalId: id,
    hash: questionHash(question.question, question.filter),
  }))
  await addGoldenRows(db, to, rows)
  arrival.counts = { ...arrival.counts, golden: arrival.counts.golden + rows.length }
}

/** @throws CodedError BAD_ARCHIVE for the first entry that is not what was written */
function compare({ sums, counts }: Arrival, { entries, counts: written }: Checksums): void {
  for (const [name, { bytes, sha256 }] of Object.entries(entries)) {
    const here = sums[name]
    if (here === undefined) throw badArchive(name, `is in ${CHECKSUMS} and not in the archive`)
    if (here.bytes !== bytes || here.sha256 !== sha256)
      throw badArchive(name, 'is not what was written: its SHA-256 differs')
  }
  const other = Object.keys(sums).find((name) => entries[name] === undefined)
  if (other !== undefined) throw badArchive(other, `is not in ${CHECKSUMS}`)
  for (const kind of Object.keys(written) as (keyof Counts)[]) {
    if (counts[kind] !== written[kind])
      throw badArchive(CHECKSUMS, `${written[kind]} ${kind} were written, ${counts[kind]} came`)
  }
}
