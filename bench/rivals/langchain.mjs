// LangChain.js as its documentation has it: RecursiveCharacterTextSplitter, the embeddings of transformers.js,
// PGVectorStore and the indexing API, on a folder of Markdown, twice.
//
//   DATABASE_URL=… node langchain.mjs --folder DIR --hub DIR --model NAME [--batch N] [--index N] [--threads N]
//
// Tables are made in the database, which should have no others. --hub holds models in the layout of transformers.js.
// --batch: texts a pass of the model takes; --index: texts the indexing API works on at a time; without them, what the
// library does by itself. Prints one line of JSON.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { env } from '@huggingface/transformers'
import { HuggingFaceTransformersEmbeddings } from '@langchain/community/embeddings/huggingface_transformers'
import { PostgresRecordManager } from '@langchain/community/indexes/postgres'
import { PGVectorStore } from '@langchain/community/vectorstores/pgvector'
import { Document } from '@langchain/core/documents'
import { index } from '@langchain/core/indexing'
import { RecursiveCharacterTextSplitter } from '@langchain/textsplitters'

const { values } = parseArgs({
  options: {
    folder: { type: 'string' },
    hub: { type: 'string' },
    model: { type: 'string' },
    batch: { type: 'string' },
    index: { type: 'string' },
    threads: { type: 'string', default: '1' },
  },
})

env.allowRemoteModels = false
env.localModelPath = values.hub
const embeddings = new HuggingFaceTransformersEmbeddings({
  model: values.model,
  // The file of the model as it is, and no more threads than there are processors to run on.
  pretrainedOptions: { dtype: 'fp32', session_options: { intraOpNumThreads: Number(values.threads) } },
  // Passes at the same time share the same threads: one after the other is never slower.
  ...(values.batch === undefined ? {} : { maxConcurrency: 1 }),
})
// Its constructor does not take it.
if (values.batch !== undefined) embeddings.batchSize = Number(values.batch)

const postgresConnectionOptions = { connectionString: process.env.DATABASE_URL }
const dimensions = (await embeddings.embedQuery('The model is loaded before anything is timed.')).length
const vectorStore = await PGVectorStore.initialize(embeddings, {
  postgresConnectionOptions,
  tableName: 'langchain',
  dimensions,
})
const recordManager = new PostgresRecordManager('bench', { postgresConnectionOptions })
await recordManager.createSchema()

/** Reads, cuts, and has the indexing API do the rest. */
async function ingest() {
  const started = performance.now()
  const names = await readdir(values.folder, { recursive: true })
  const documents = []
  for (const source of names.filter((name) => name.endsWith('.md')).sort()) {
    const pageContent = await readFile(join(values.folder, source), 'utf8')
    documents.push(new Document({ pageContent, metadata: { source } }))
  }
  const chunks = await new RecursiveCharacterTextSplitter().splitDocuments(documents)
  const options = values.index === undefined ? {} : { batchSize: Number(values.index) }
  const { numAdded } = await index({ docsSource: chunks, recordManager, vectorStore, options })
  const seconds = (performance.now() - started) / 1_000
  return { seconds, documents: documents.length, chunks: chunks.length, added: numAdded }
}

const first = await ingest()
const second = await ingest()
const { rows } = await vectorStore.pool.query('select count(*)::int as count from langchain')
await recordManager.end()
await vectorStore.end()
process.stdout.write(
  `${JSON.stringify({
    firstSeconds: first.seconds,
    secondSeconds: second.seconds,
    documents: first.documents,
    chunks: first.chunks,
    added: first.added,
    addedAgain: second.added,
    rows: rows[0].count,
  })}\n`,
)
