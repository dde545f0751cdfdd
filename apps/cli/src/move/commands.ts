import { type Command, Option } from 'commander'
import type { Client } from '../client.js'
import { sizeText } from '../models/units.js'
import { count } from '../words.js'
import type { Checked } from './check.js'
import { exportThrough, exportTo, type Imported, importFrom, type OnProgress } from './transfer.js'

interface Output {
  readonly json?: true
}

const json = () => new Option('--json', 'print one JSON document on standard output')

/** `millrace export` and `millrace import`. */
export function addMove(program: Command, client: Client, write: (text: string) => void): void {
  program
    .command('export')
    .description('write a domain into a file: documents, chunks, vectors and settings (docs/move.md)')
    .argument('<domain>', 'the domain')
    .option(
      '-o, --output <file>',
      'where to; - is standard output (default: the name of the domain with .tar)',
    )
    .option('--force', 'write over a file that is there')
    .addOption(json())
    .action(async (domain: string, options: Output & { output?: string; force?: true }) => {
      const path = options.output ?? `${domain}.tar`
      const line = progressLine(
        (done, total) => `exporting ${count(done)} of ${count(Math.max(done, total), 'document')}`,
      )
      try {
        if (path === '-') {
          await exportThrough(client, domain, toStandardOutput, line.update)
          return
        }
        const checked = await exportTo(client, domain, { path, force: options.force ?? false }, line.update)
        line.stop()
        write(
          options.json === true
            ? `${JSON.stringify({ domain, file: path, ...checked })}\n`
            : showExported(domain, path, checked),
        )
      } finally {
        line.stop()
      }
    })
  program
    .command('import')
    .description('create a domain from such a file; its vectors are taken over, nothing is embedded')
    .argument('<file>', 'what export wrote; - is standard input')
    .option('-d, --domain <name>', 'its name here (default: the one it had)')
    .addOption(json())
    .action(async (path: string, options: Output & { domain?: string }) => {
      const line = progressLine(
        (done, total) => `sent ${sizeText(done)}${total === 0 ? '' : ` of ${sizeText(total)}`}`,
      )
      try {
        const from = { path, stdin: () => process.stdin }
        const imported = await importFrom(client, from, options.domain, line.update)
        line.stop()
        write(options.json === true ? `${JSON.stringify(imported)}\n` : showImported(imported))
      } finally {
        line.stop()
      }
    })
}

const toStandardOutput = (piece: Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => {
    // What is not written is said by the callback; the event would end the process besides.
    if (process.stdout.listenerCount('error') === 0) process.stdout.on('error', () => undefined)
    process.stdout.write(piece, (error) => (error ? reject(error) : resolve()))
  })

const KINDS = {
  documents: 'document',
  chunks: 'chunk',
  vectors: 'vector',
  files: 'file',
  golden: 'golden question',
} as const

/** 3 documents, 5 chunks, 5 vectors; what there is none of is left out, but for documents. */
const countsText = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(KINDS)
    .filter(([kind]) => kind === 'documents' || (counts[kind] ?? 0) > 0)
    .map(([kind, word]) => count(counts[kind] ?? 0, word))
    .join(', ')

export const showExported = (domain: string, path: string, { counts, bytes }: Checked): string =>
  `exported ${domain} to ${path}: ${countsText(counts)}; ${sizeText(bytes)}, checksums are right\n`

export function showImported(imported: Imported): string {
  const { domain, model, documents, ready, ingestion, ...counts } = imported
  const open = documents - ready
  return [
    `imported ${domain} (${model}): ${countsText({ documents, ...counts })}; nothing was embedded\n`,
    open === 0 ? '' : `${count(open, 'document')} had no vectors: ingestion ${ingestion} goes on with them\n`,
  ].join('')
}

/** Milliseconds between two lines. */
const EVERY_MS = 200

/** One line on standard error that is written over; nothing where that is no terminal. */
function progressLine(text: (done: number, total: number) => string): {
  readonly update: OnProgress
  readonly stop: () => void
} {
  const out = process.stderr
  let last = performance.now()
  let isDrawn = false
  return {
    update: (done, total) => {
      if (!out.isTTY || performance.now() - last < EVERY_MS) return
      last = performance.now()
      isDrawn = true
      out.write(`\r\x1b[K${text(done, total)}`)
    },
    stop: () => {
      if (isDrawn) out.write('\r\x1b[K')
      isDrawn = false
    },
  }
}
