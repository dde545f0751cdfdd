import { type Command, Option } from 'commander'
import { z } from 'zod'
import type { Client } from './client.js'
import { domainPath } from './domain.js'
import { within } from './numbers.js'
import { table } from './table.js'
import { count } from './words.js'

const perVector = z.object({ table: z.number(), index: z.number(), total: z.number() }).nullable()

export const storageSchema = z.object({
  domain: z.string(),
  storage: z.string(),
  dims: z.number(),
  vectors: z.number(),
  bytesPerVector: perVector,
  float32Bytes: z.number(),
  parts: z.array(
    z.object({
      name: z.string(),
      rows: z.number(),
      tableBytes: z.number(),
      indexBytes: z.number(),
      bytesPerRow: perVector,
      indexes: z.array(z.object({ name: z.string(), bytes: z.number() })),
    }),
  ),
  error: z.object({ mean: z.number(), p99: z.number(), largest: z.number(), pairs: z.number() }).nullable(),
  recall: z.object({ k: z.number(), recall: z.number(), candidates: z.number().nullable() }).nullable(),
  sampled: z.number(),
  copiedFrom: z.string().nullable(),
  notes: z.array(z.string()),
})
export type StorageReport = z.infer<typeof storageSchema>

interface Output {
  readonly json?: true
}

/** `millrace storage report`. */
export function addStorage(program: Command, client: Client, write: (text: string) => void): void {
  const storage = program.command('storage').description('how the vectors of a domain are kept')
  storage
    .command('report')
    .description('bytes a vector, and how far similarities are from those of float32 vectors')
    .argument('<domain>', 'the domain')
    .option('--sample <count>', 'texts that are compared', within(2, 2_000, true), 1_000)
    .addOption(new Option('--json', 'print one JSON document on standard output'))
    .action(async (domain: string, options: Output & { sample: number }) => {
      const report = await client.get(`${domainPath(domain)}/storage?sample=${options.sample}`, storageSchema)
      write(options.json === true ? `${JSON.stringify(report)}\n` : showStorage(report))
    })
}

export function showStorage(report: StorageReport): string {
  const { error, recall } = report
  const bytes = (value: number | undefined) => (value === undefined ? '' : value.toFixed(0))
  const rows = (name: string, of: StorageReport['bytesPerVector']) => [
    name,
    bytes(of?.table),
    bytes(of?.index),
    bytes(of?.total),
  ]
  return [
    `${report.domain}: ${count(report.vectors, 'vector')} of ${count(report.dims, 'dimension')}, stored as ${report.storage}\n`,
    table([
      ['bytes a row', 'table', 'index', 'both'],
      ...report.parts.map((part) => rows(part.name, part.bytesPerRow)),
      ...(report.parts.length > 1 ? [rows('all, a vector', report.bytesPerVector)] : []),
      ['float32 alone', String(report.float32Bytes), '', ''],
    ]),
    ...(error === null
      ? []
      : [
          table([
            ['difference of similarity', 'mean', 'p99', 'largest'],
            [
              `${count(error.pairs, 'ordered pair')} of ${count(report.sampled, 'text')}`,
              ...[error.mean, error.p99, error.largest].map((value) => value.toFixed(5)),
            ],
          ]),
        ]),
    ...(recall === null
      ? []
      : [
          `recall@${recall.k}: ${recall.recall.toFixed(4)}${recall.candidates === null ? '' : `, ${count(recall.candidates, 'candidate')}`}\n`,
        ]),
    ...report.notes.map((note) => `${note}\n`),
  ].join('')
}
