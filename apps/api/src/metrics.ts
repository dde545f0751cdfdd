import { backlog, countScheduleRuns, listAlarms, listWorkers } from '@millrace/store'
import type { FastifyInstance } from 'fastify'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { ApiDeps } from './deps.js'

/** Prometheus text at /metrics: this process, its engine, and the backlog that all processes share. */
export function exposeMetrics(app: FastifyInstance, deps: ApiDeps): void {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const seconds = new Histogram({
    name: 'millrace_http_request_seconds',
    help: 'Time to answer, by route and status',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  })
  new Gauge({
    name: 'millrace_engine',
    help: 'The engine of this process: texts and tokens embedded, batches run, texts waiting',
    labelNames: ['what'],
    registers,
    collect() {
      for (const [what, value] of Object.entries(deps.engine.stats())) this.set({ what }, value)
    },
  })
  new Gauge({
    name: 'millrace_query_cache',
    help: 'Queries whose vectors this process had at hand (hits) or computed (misses); entries and bytes kept',
    labelNames: ['what'],
    registers,
    collect() {
      for (const [what, value] of Object.entries(deps.cache.stats())) this.set({ what }, value)
    },
  })
  new Gauge({
    name: 'millrace_query_log',
    help: 'Queries that this process logged (written), lost (dropped), and has yet to write (waiting)',
    labelNames: ['what'],
    registers,
    collect() {
      for (const [what, value] of Object.entries(deps.queryLog.stats())) this.set({ what }, value)
    },
  })
  new Gauge({
    name: 'millrace_backlog',
    help: 'What is still to be done, over all domains: documents, texts without a vector, their tokens, leases out, workers alive',
    labelNames: ['what'],
    registers,
    async collect() {
      const [left, workers] = await Promise.all([backlog(deps.db), listWorkers(deps.db)])
      for (const [what, value] of Object.entries({ ...left, workers: workers.length }))
        this.set({ what }, value)
    },
  })
  new Counter({
    name: 'millrace_worker_tokens_total',
    help: 'Tokens that the living workers have embedded since they started',
    labelNames: ['worker'],
    registers,
    async collect() {
      this.reset()
      for (const worker of await listWorkers(deps.db)) this.inc({ worker: worker.id }, worker.tokens)
    },
  })
  new Counter({
    name: 'millrace_schedule_runs_total',
    help: 'Runs of schedules by outcome: done, failed, stopped; skipped: ticks that found the run before at work',
    labelNames: ['schedule', 'outcome'],
    registers,
    async collect() {
      this.reset()
      for (const { schedule, atWork: _, ...outcomes } of await countScheduleRuns(deps.db)) {
        for (const [outcome, runs] of Object.entries(outcomes)) this.inc({ schedule, outcome }, runs)
      }
    },
  })
  new Gauge({
    name: 'millrace_schedule_alarm',
    help: '1 for each schedule whose last run found something wrong, or failed',
    labelNames: ['schedule'],
    registers,
    async collect() {
      this.reset()
      for (const { schedule } of await listAlarms(deps.db)) this.set({ schedule }, 1)
    },
  })
  app.addHook('onResponse', async (request, reply) => {
    seconds.observe(
      {
        method: request.method,
        route: request.routeOptions.url ?? 'none',
        status: String(reply.statusCode),
      },
      reply.elapsedTime / 1_000,
    )
  })
  app.get(
    '/metrics',
    { schema: { summary: 'Metrics for Prometheus', tags: ['operation'], produces: ['text/plain'] } },
    async (_request, reply) => {
      const text = await registry.metrics()
      return reply.header('content-type', registry.contentType).send(text)
    },
  )
}
