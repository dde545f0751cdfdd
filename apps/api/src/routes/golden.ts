import { CodedError } from '@millrace/errors'
import {
  addGolden,
  type Comparison,
  clearGolden,
  compareGolden,
  deleteGolden,
  findDomain,
  type GivenQuestion,
  getRun,
  listGolden,
  listResults,
  listRuns,
  MISS,
  type Named,
  type Run,
  startRun,
} from '@millrace/flow'
import type { ResultRow } from '@millrace/store'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { ApiDeps } from '../deps.js'
import { readQuestions } from '../intake/questions.js'
import {
  clearedOut,
  compareNamed,
  comparisonOut,
  goldenIn,
  goldenOut,
  goldenPage,
  goldenPageQuery,
  goldenQuery,
  named,
  questionIn,
  questionNamed,
  type resultOut,
  resultsPage,
  resultsQuery,
  runDetail,
  runIn,
  type runOut,
  runsPage,
} from '../schemas/golden.js'
import { firstIssue, problems } from '../schemas/shared.js'

const GOLDEN = '/v1/domains/:name/golden'
/** Of misses, and of what moved, in one answer. */
const SHOWN = 100

export const goldenRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  const utf8 = new TextDecoder('utf-8', { fatal: true })
  // CSV as it is: the same as {"csv": "…"}.
  app.addContentTypeParser('text/csv', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, { csv: utf8.decode(typeof body === 'string' ? Buffer.from(body) : body) })
    } catch {
      done(new CodedError('INVALID_UTF8', 'The body is not UTF-8', { hint: 'Encode the CSV as UTF-8' }))
    }
  })
  app.post(
    GOLDEN,
    {
      schema: {
        summary: 'Add questions with the documents that answer them, as JSON or CSV',
        description: 'Over those that have their id or ask the same',
        tags: ['golden'],
        consumes: ['application/json', 'text/csv'],
        params: named,
        querystring: goldenQuery,
        body: goldenIn,
        response: { 200: goldenOut, ...problems },
      },
    },
    async (request) => {
      const domain = await findDomain(deps, request.params.name)
      const { questions, csv } = request.body
      const given: GivenQuestion[] =
        csv === undefined ? (questions ?? []).map(checkQuestion) : readQuestions(csv)
      const keep = request.query.merge === true
      const options = { replace: request.query.replace === true, merge: csv !== undefined || keep, keep }
      const { rejected, missing, ...done } = await addGolden(deps, domain, given, options)
      return { ...done, rejected: [...rejected], missing: [...missing] }
    },
  )
  app.get(
    GOLDEN,
    {
      schema: {
        summary: 'The questions of a golden set, by their id',
        tags: ['golden'],
        params: named,
        querystring: goldenPageQuery,
        response: { 200: goldenPage, ...problems },
      },
    },
    async (request) => {
      const domain = await findDomain(deps, request.params.name)
      const { questions, ...page } = await listGolden(deps, domain, request.query)
      const shown = questions.map(({ externalId, documents, filter, ...rest }) => ({
        ...rest,
        id: externalId,
        documentIds: [...documents],
        filter: { ...filter },
      }))
      return { questions: shown, ...page }
    },
  )
  app.delete(
    GOLDEN,
    {
      schema: {
        summary: 'Remove all questions of a golden set; its runs stay',
        tags: ['golden'],
        params: named,
        response: { 200: clearedOut, ...problems },
      },
    },
    async (request) => {
      const domain = await findDomain(deps, request.params.name)
      return { removed: await clearGolden(deps, domain) }
    },
  )
  app.delete(
    `${GOLDEN}/:id`,
    {
      schema: {
        summary: 'Remove a question',
        tags: ['golden'],
        params: questionNamed,
        response: { 204: z.null(), ...problems },
      },
    },
    async (request, reply) => {
      const domain = await findDomain(deps, request.params.name)
      await deleteGolden(deps, domain, request.params.id)
      return reply.status(204).send(null)
    },
  )
  app.post(
    `${GOLDEN}/run`,
    {
      schema: {
        summary:
          'Ask all questions and measure what comes; 202 and a run to look at when there are more than 200',
        tags: ['golden'],
        params: named,
        body: runIn.nullish(),
        response: { 200: runDetail, 202: runDetail, ...problems },
      },
    },
    async (request, reply) => {
      const domain = await findDomain(deps, request.params.name)
      const run = await startRun(deps, domain, request.body ?? runIn.parse({}))
      return reply.status(run.state === 'running' ? 202 : 200).send(await detail(deps, run))
    },
  )
  app.get(
    `${GOLDEN}/runs`,
    {
      schema: {
        summary: 'The last 100 runs, newest first',
        tags: ['golden'],
        params: named,
        querystring: goldenPageQuery,
        response: { 200: runsPage, ...problems },
      },
    },
    async (request) => {
      const domain = await findDomain(deps, request.params.name)
      const { runs, cursor } = await listRuns(deps, domain, request.query)
      return { runs: runs.map(show), cursor }
    },
  )
  app.get(
    `${GOLDEN}/runs/:id`,
    {
      schema: {
        summary: 'A run with its misses',
        tags: ['golden'],
        params: questionNamed,
        response: { 200: runDetail, ...problems },
      },
    },
    async (request) => {
      const domain = await findDomain(deps, request.params.name)
      return detail(deps, await getRun(deps, domain, request.params.id))
    },
  )
  app.get(
    `${GOLDEN}/runs/:id/results`,
    {
      schema: {
        summary: 'What the questions of a run came to, in the order of their ids',
        tags: ['golden'],
        params: questionNamed,
        querystring: resultsQuery,
        response: { 200: resultsPage, ...problems },
      },
    },
    async (request) => {
      const domain = await findDomain(deps, request.params.name)
      const run = await getRun(deps, domain, request.params.id)
      const { results, cursor } = await listResults(deps, run, request.query)
      return { results: results.map(showResult), cursor }
    },
  )
  app.get(
    `${GOLDEN}/runs/:a/compare/:b`,
    {
      schema: {
        summary: 'Two runs side by side: what got worse and better from a to b',
        tags: ['golden'],
        params: compareNamed,
        response: { 200: comparisonOut, ...problems },
      },
    },
    async (request) => {
      const domain = await findDomain(deps, request.params.name)
      const [before, after] = await Promise.all([
        getRun(deps, domain, request.params.a),
        getRun(deps, domain, request.params.b),
      ])
      return showComparison(before, after, await compareGolden(deps, before, after))
    },
  )
}

/** A question of wrong types is refused alone. */
function checkQuestion(value: unknown, index: number): GivenQuestion {
  const parsed = questionIn.safeParse(value)
  if (parsed.success) return { index, question: parsed.data }
  return { index, id: idOf(value), refusal: { code: 'INVALID_REQUEST', message: firstIssue(parsed.error) } }
}

const idOf = (value: unknown): string | undefined =>
  typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'string'
    ? value.id
    : undefined

async function detail(deps: ApiDeps, run: Run): Promise<z.infer<typeof runDetail>> {
  const first = (only: 'misses' | 'unmeasured') => listResults(deps, run, { only, limit: SHOWN })
  const [missed, notMeasured] = await Promise.all([first('misses'), first('unmeasured')])
  return {
    ...show(run),
    missed: missed.results.map(showResult),
    notMeasured: notMeasured.results.map(showResult),
  }
}

function show(run: Run): z.infer<typeof runOut> {
  const { report, settings } = run
  return {
    id: String(run.id),
    domain: run.domain,
    state: run.state,
    questions: run.questions,
    done: run.done,
    ...settings,
    rerank: settings.rerank === null ? null : { ...settings.rerank },
    fusion:
      typeof settings.fusion === 'object' && settings.fusion !== null
        ? { ...settings.fusion }
        : settings.fusion,
    model: run.model,
    recipe: run.recipeHash,
    note: run.note,
    generation: String(run.generationId),
    purpose: settings.purpose ?? null,
    measured: report?.measured ?? null,
    unmeasured: report === null ? null : unmeasuredOf(report.unmeasured),
    metrics: report?.metrics ?? null,
    grades: report === null ? null : inOrder(report.grades, run.levels),
    misses: report?.misses ?? null,
    belowThreshold: report?.belowThreshold ?? null,
    tookMs: { embed: tenths(run.embedMs), search: tenths(run.searchMs) },
    error: run.errorCode === null ? null : { code: run.errorCode, message: run.errorMessage ?? '' },
    startedAt: run.startedAt.toISOString(),
    finishedAt: run.finishedAt?.toISOString() ?? null,
  }
}

/** Postgres keeps no order of keys: the highest level first, a miss last. */
function inOrder(
  grades: Readonly<Record<string, number>>,
  levels: readonly string[],
): Record<string, number> {
  const place = (grade: string) => (grade === MISS ? levels.length + 1 : levels.indexOf(grade))
  return Object.fromEntries(Object.entries(grades).sort(([a], [b]) => place(a) - place(b)))
}

const unmeasuredOf = ({ not_ready, ...rest }: NonNullable<Run['report']>['unmeasured']) => ({
  ...rest,
  notReady: not_ready,
})

/** As hits of a search show it. */
const sixDecimals = (score: number): number => Math.round(score * 1e6) / 1e6
const tenths = (ms: number): number => Math.round(ms * 10) / 10

const showResult = (row: ResultRow): z.infer<typeof resultOut> => ({
  id: row.externalId,
  question: row.question,
  documentIds: [...row.documents],
  filter: { ...row.filter },
  state: row.state,
  grade: row.grade,
  rank: row.ranks[0] ?? null,
  score: row.score === null ? null : sixDecimals(row.score),
  scored: row.scored,
  ranks: [...row.ranks],
  absent: row.absent.map((one) => ({ ...one })),
  instead: row.top?.map((hit) => ({ ...hit, score: sixDecimals(hit.score) })) ?? null,
  error: row.errorCode === null ? null : { code: row.errorCode, message: row.errorMessage ?? '' },
})

export function showComparison(before: Run, after: Run, found: Comparison): z.infer<typeof comparisonOut> {
  const listed = (all: readonly Named[]) => ({
    total: all.length,
    first: all.slice(0, SHOWN).map((one) => ({ ...one })),
  })
  const standing = ({ score, ...rest }: Comparison['worse'][number]['before']) => ({
    ...rest,
    score: score === null ? null : sixDecimals(score),
  })
  const moved = (all: Comparison['worse']) => ({
    total: all.length,
    first: all.slice(0, SHOWN).map((one) => ({
      id: one.id,
      question: one.question,
      before: standing(one.before),
      after: standing(one.after),
    })),
  })
  return {
    before: show(before),
    after: show(after),
    common: found.common,
    sameQuestions: found.sameQuestions,
    metrics: { before: found.before, after: found.after },
    worse: moved(found.worse),
    better: moved(found.better),
    added: listed(found.added),
    removed: listed(found.removed),
    changed: listed(found.changed),
    unmeasured: listed(found.unmeasured),
    lost: listed(found.lost),
  }
}
