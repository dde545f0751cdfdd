#!/usr/bin/env node
import { CodedError, messageOf } from '@millrace/errors'
import { benchClone } from './clone.js'
import { benchBare } from './engine/bare.js'
import { benchBudget } from './engine/budget.js'
import { benchIsolation } from './engine/isolation.js'
import { benchLatency } from './engine/latency.js'
import { benchM3 } from './engine/m3.js'
import { benchReference } from './engine/reference.js'
import { benchTransformers } from './engine/transformers.js'
import type { Figure } from './figure.js'
import { benchCarry } from './generations/carry.js'
import { benchChange } from './generations/change.js'
import { benchKilled } from './generations/killed.js'
import { benchAgain } from './ingest/again.js'
import { benchInsert } from './ingest/insert.js'
import { benchLangchain } from './ingest/langchain.js'
import { benchMillion } from './ingest/million.js'
import { benchNull } from './ingest/null.js'
import { benchLag } from './lag.js'
import { benchLevels } from './levels.js'
import { benchPipeline } from './pipeline.js'
import { benchQuantize } from './quantize.js'
import { benchSamples, benchSite } from './questions.js'
import { benchReady } from './ready.js'
import { benchFiltered } from './search/filtered.js'
import { benchHttp } from './search/http.js'
import { benchQuality } from './search/quality.js'
import { benchRerank } from './search/rerank.js'
import { benchSparse } from './search/sparse.js'
import { benchStorage } from './search/storage.js'
import { benchQuantizeLarge } from './standin.js'
import { benchText } from './text.js'
import { benchTopology } from './topology.js'
import { benchWeb } from './web.js'

const BENCHES: Readonly<Record<string, () => Promise<Figure[]>>> = {
  pipeline: benchPipeline,
  lag: benchLag,
  topology: benchTopology,
  samples: benchSamples,
  site: benchSite,
  ready: benchReady,
  clone: benchClone,
  'engine/transformers': benchTransformers,
  'engine/bare': benchBare,
  'engine/reference': benchReference,
  'engine/m3': benchM3,
  'engine/latency': benchLatency,
  'engine/isolation': benchIsolation,
  'engine/budget': benchBudget,
  'generations/carry': benchCarry,
  'generations/change': benchChange,
  'generations/killed': benchKilled,
  'ingest/again': benchAgain,
  'ingest/insert': benchInsert,
  'ingest/null': benchNull,
  'ingest/million': benchMillion,
  'ingest/langchain': benchLangchain,
  'search/http': benchHttp,
  'search/filtered': benchFiltered,
  'search/rerank': benchRerank,
  'search/quality': benchQuality,
  'search/sparse': benchSparse,
  'search/storage': benchStorage,
  levels: benchLevels,
  quantize: benchQuantize,
  'quantize-large': benchQuantizeLarge,
  text: benchText,
  web: benchWeb,
}

// npm run bench: every figure, or the ones named (`engine`: all of `engine/…`). Tables, then everything as one
// line of JSON.
const isNamed = (bench: string, name: string): boolean => bench === name || bench.startsWith(`${name}/`)
const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !Object.keys(BENCHES).some((bench) => isNamed(bench, name)))
if (unknown.length > 0) {
  process.stderr.write(`No bench ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}\n`)
  process.exit(1)
}
const results: Record<string, readonly Figure[]> = {}
let failed = false
for (const [name, bench] of Object.entries(BENCHES)) {
  if (wanted.length > 0 && !wanted.some((one) => isNamed(name, one))) continue
  process.stdout.write(`\n${name}\n`)
  try {
    const figures = await bench()
    results[name] = figures
    console.table(figures)
  } catch (error) {
    const isMissing =
      error instanceof CodedError && (error.code === 'NO_SHARED' || error.code === 'NO_SERVERS')
    process.stdout.write(`did not run: ${messageOf(error)}\n`)
    if (!isMissing) process.stderr.write(`${error instanceof Error ? error.stack : error}\n`)
    failed ||= !isMissing || process.env.CI === 'true'
  }
}
process.stdout.write(`${JSON.stringify(results)}\n`)
process.exitCode = failed ? 1 : 0
