import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A submission as it arrived. */
export interface Recorded {
  readonly query: string
  readonly type: string
  readonly body: Buffer
}

/** An answer other than that all was taken. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void

/** Takes every submission, and notes what it was. */
export interface Recorder {
  readonly url: string
  readonly submissions: readonly Recorded[]
  /** How the next submissions are answered instead. */
  answerNext(...answers: Answer[]): void
  /** The documents of a submission of JSON lines. */
  linesOf(submission: Recorded | undefined): unknown[]
  /** The parts of a form, in order: name, and text or file. */
  partsOf(
    submission: Recorded | undefined,
  ): Promise<[string, string | { name: string; type: string; text: string }][]>
  forget(): void
  close(): void
}

const json = (response: ServerResponse, status: number, body: unknown) =>
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))

export const refuse =
  (status: number, code: string, details: object = {}): Answer =>
  (_request, response) => {
    json(response, status, { error: { code, message: 'Not now', details } })
  }

const counts = { total: 0, received: 0, preparing: 0, embedding: 0, ready: 0, failed: 0, cancelled: 0 }
const finished = (id: string) => ({
  id,
  domain: 'd',
  state: 'finished',
  receiving: false,
  documents: { ...counts, unchanged: 0 },
  chunks: { total: 0, embedded: 0, reused: 0 },
  tokens: { total: 0, embedded: 0 },
  tokensPerSecond: null,
  etaSeconds: null,
  errors: [],
  rejected: { total: 0, codes: [] },
  index: { state: 'none' },
  sync: null,
  report: null,
})

export async function openRecorder(): Promise<Recorder> {
  const submissions: Recorded[] = []
  const answers: Answer[] = []
  const server = createServer(async (request, response) => {
    const [path = '', query = ''] = (request.url ?? '').split('?')
    const events = /^\/v1\/ingestions\/(\w+)\/events$/.exec(path)
    if (events !== null) {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(`data: ${JSON.stringify(finished(events[1] ?? ''))}\n\n`)
      return
    }
    const answer = answers.shift()
    if (answer !== undefined) return answer(request, response)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    submissions.push({ query, type: request.headers['content-type'] ?? '', body: Buffer.concat(chunks) })
    const ingestion = String(submissions.length)
    json(response, 202, { ingestion, accepted: 1, rejected: [], rejectedTotal: 0 })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    submissions,
    answerNext: (...next) => answers.push(...next),
    linesOf: (submission) =>
      (submission?.body.toString() ?? '')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line)),
    partsOf: async (submission) => {
      const headers = { 'content-type': submission?.type ?? '' }
      const form = await new Response(submission?.body ?? null, { headers }).formData()
      return Promise.all(
        [...form].map(async ([name, value]) =>
          typeof value === 'string'
            ? ([name, value] as [string, string])
            : ([name, { name: value.name, type: value.type, text: await value.text() }] as [
                string,
                { name: string; type: string; text: string },
              ]),
        ),
      )
    },
    forget: () => {
      submissions.length = 0
      answers.length = 0
    },
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
