import { setTimeout as sleep } from 'node:timers/promises'
import { type Ingestion, ingestionSchema } from 'millrace/client'
import { z } from 'zod'

const submission = z.object({ ingestion: z.string(), accepted: z.number() })
type Submission = z.infer<typeof submission>

/** Submits documents as a stream of JSON lines, in pieces of about 64 KiB, as fast as they are taken. */
export async function sendLines(url: string, documents: Iterable<object>): Promise<Submission> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: ReadableStream.from(pieces(documents)),
    duplex: 'half',
  } as RequestInit)
  const body = await response.text()
  if (!response.ok) throw new Error(`${url}: ${body.slice(0, 500)}`)
  return submission.parse(JSON.parse(body))
}

const PIECE_CHARS = 64 * 1024

function* pieces(documents: Iterable<object>): Generator<Uint8Array> {
  let piece = ''
  for (const document of documents) {
    piece += `${JSON.stringify(document)}\n`
    if (piece.length < PIECE_CHARS) continue
    yield Buffer.from(piece)
    piece = ''
  }
  if (piece !== '') yield Buffer.from(piece)
}

const POLL_MS = 100

/** The ingestion when it is not running any more. */
export async function ended(url: string, ingestion: string): Promise<Ingestion> {
  for (;;) {
    const response = await fetch(`${url}/v1/ingestions/${ingestion}`)
    const now = ingestionSchema.parse(await response.json())
    if (now.state !== 'running') return now
    await sleep(POLL_MS)
  }
}
