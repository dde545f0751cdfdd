import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type ModelFolder, parseFolder } from '@millrace/embed'

/** Answers a request for a file in its own way; resolves when it is done with it. */
export type Fault = (request: IncomingMessage, response: ServerResponse, content: Buffer) => void

/** A request as a server saw it. */
export interface Seen {
  readonly at: 'hub' | 'cdn'
  readonly path: string
  readonly range: string | undefined
  readonly authorization: string | undefined
}

/** A hub that redirects to a place of its own for the bytes, on another port. */
export interface FakeHub {
  readonly url: string
  readonly seen: Seen[]
  /** Bytes of bodies that were written, all files together. */
  sent(): number
  /** The next answers for a file, one request each; after them it is served. */
  next(path: string, ...faults: Fault[]): void
  /** Every answer for a file. */
  always(path: string, fault: Fault): void
  close(): Promise<void>
}

export const REVISION = '0123456789abcdef0123456789abcdef01234567'

/** Serves files as `/<repo>/resolve/<revision>/<path>`. */
export async function openHub(repo: string, files: ReadonlyMap<string, Buffer>): Promise<FakeHub> {
  const seen: Seen[] = []
  const queues = new Map<string, Fault[]>()
  const fixed = new Map<string, Fault>()
  let sent = 0
  const note = (at: 'hub' | 'cdn', path: string, { headers }: IncomingMessage) =>
    seen.push({ at, path, range: headers.range, authorization: headers.authorization })
  const cdn = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? '').slice(1))
    note('cdn', path, request)
    const content = files.get(path) ?? Buffer.alloc(0)
    const write = response.write.bind(response)
    response.write = (chunk: Buffer, ...rest: never[]) => {
      sent += chunk.length
      return write(chunk, ...rest)
    }
    const fault = queues.get(path)?.shift() ?? fixed.get(path) ?? whole
    fault(request, response, content)
  })
  const cdnUrl = await listen(cdn)
  const hub = createServer((request, response) => {
    const base = `/${repo}/resolve/${REVISION}/`
    const url = request.url ?? ''
    const path = url.startsWith(base) ? decodeURIComponent(url.slice(base.length)) : ''
    note('hub', path, request)
    if (url === `/api/models/${repo}/revision/main`)
      return answer(response, { sha: REVISION, cardData: CARD })
    if (url === `/api/models/${repo}/tree/${REVISION}?recursive=true`) return answer(response, treeOf(files))
    if (!files.has(path)) return response.writeHead(404).end('Entry not found')
    return response.writeHead(302, { location: `${cdnUrl}/${encodeURIComponent(path)}` }).end()
  })
  const url = await listen(hub)
  return {
    url,
    seen,
    sent: () => sent,
    next: (path, ...faults) => queues.set(path, [...(queues.get(path) ?? []), ...faults]),
    always: (path, fault) => fixed.set(path, fault),
    close: async () => {
      for (const server of [hub, cdn]) {
        server.closeAllConnections()
        server.close()
      }
    },
  }
}

/** What the model's card says. */
const CARD = { license: 'apache-2.0', language: ['en'] }
/** From here on a file's sha256 is known to the hub; of smaller ones it has git's hash, in bytes. */
const LARGE_BYTES = 1_000_000

const answer = (response: ServerResponse, value: unknown) =>
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))

const treeOf = (files: ReadonlyMap<string, Buffer>) =>
  [...files].map(([path, content]) => ({
    type: 'file',
    path,
    size: content.length,
    oid: createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex'),
    ...(content.length < LARGE_BYTES
      ? {}
      : { lfs: { oid: createHash('sha256').update(content).digest('hex'), size: content.length } }),
  }))

async function listen(server: Server): Promise<string> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it does not listen')
  return `http://127.0.0.1:${address.port}`
}

const startOf = ({ headers }: IncomingMessage): number =>
  Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0)

/** Head and body of what was asked for, from where it was asked for. */
function begin(request: IncomingMessage, response: ServerResponse, content: Buffer): Buffer {
  const start = startOf(request)
  const rest = content.subarray(start)
  const range =
    start === 0 ? {} : { 'content-range': `bytes ${start}-${content.length - 1}/${content.length}` }
  response.writeHead(start === 0 ? 200 : 206, { 'content-length': rest.length, ...range })
  return rest
}

export const whole: Fault = (request, response, content) => {
  response.write(begin(request, response, content))
  response.end()
}

/** Ends the connection some time after some bytes of what was asked for; who reads slowly may get fewer. */
export const cutAfter =
  (bytes: number): Fault =>
  (request, response, content) => {
    const rest = begin(request, response, content)
    response.flushHeaders()
    response.write(rest.subarray(0, bytes))
    // What a client has not read yet when the end comes is lost to it.
    setTimeout(() => response.socket?.end(), bytes === 0 ? 0 : 250)
  }

/** Sends some bytes, then nothing. */
export const stallAfter =
  (bytes: number): Fault =>
  (request, response, content) => {
    response.write(begin(request, response, content).subarray(0, bytes))
  }

/** Answers when something has happened. */
export const after =
  (event: Promise<unknown>): Fault =>
  (request, response, content) => {
    event.then(() => whole(request, response, content))
  }

/** So many bytes every 5 ms. */
export const slowly =
  (bytes: number): Fault =>
  (request, response, content) => {
    const rest = begin(request, response, content)
    let at = 0
    const timer = setInterval(() => {
      if (response.destroyed || at >= rest.length) {
        clearInterval(timer)
        response.end()
        return
      }
      response.write(rest.subarray(at, at + bytes))
      at += bytes
    }, 5)
  }

/** All of it, whatever was asked for. */
export const ignoringRange: Fault = (_, response, content) => {
  response.writeHead(200, { 'content-length': content.length })
  response.write(content)
  response.end()
}

/** Other bytes, told truly how many. */
export const instead =
  (other: Buffer): Fault =>
  (request, response) =>
    whole(request, response, other)

/** Other bytes, without telling how many. */
export const chunked =
  (other: Buffer): Fault =>
  (request, response) => {
    const start = startOf(request)
    if (start >= other.length && start > 0) {
      response.writeHead(416).end()
      return
    }
    response.writeHead(start === 0 ? 200 : 206, {
      ...(start === 0 ? {} : { 'content-range': `bytes ${start}-${other.length - 1}/*` }),
    })
    response.write(other.subarray(start))
    response.end()
  }

export const status =
  (code: number, headers: Readonly<Record<string, string>> = {}): Fault =>
  (_, response) => {
    response.writeHead(code, headers).end('no')
  }

/** The files of a made-up model: a large one and three small ones. */
export function someFiles(): Map<string, Buffer> {
  return new Map([
    ['onnx/model.onnx', randomBytes(400_000)],
    ['onnx/model.onnx_data', randomBytes(200_000)],
    ['tokenizer.json', randomBytes(30_000)],
    ['1_Pooling/config.json', Buffer.from('{}')],
  ])
}

/** Their manifest. The engine could not run it: only its files matter here. */
export function manifestOf(id: string, files: ReadonlyMap<string, Buffer>): ModelFolder {
  const list = [...files].map(([path, content]) => ({
    path,
    bytes: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
  }))
  const isGraph = ({ path }: { readonly path: string }) => path.startsWith('onnx/')
  return parseFolder(
    {
      id,
      name: id,
      architecture: 'other',
      dims: 4,
      tokensMax: 8,
      pooling: 'cls',
      normalize: true,
      instructions: { query: null, document: null },
      outputs: ['dense'],
      heads: {},
      languages: ['en'],
      licence: 'MIT',
      source: 'made up',
      hub: { repo: 'some/model', revision: REVISION },
      padId: 0,
      levels: [{ key: 'all', above: null, name: { zh: '全部', en: 'all' } }],
      levelsMeasurement: 'none',
      variants: [
        {
          precision: 'float32',
          revision: 'r1',
          batchInvariant: true,
          onnx: {
            file: 'onnx/model.onnx',
            inputs: { ids: 'input_ids', mask: 'attention_mask', types: null },
            output: 'x',
          },
          batchTokens: 512,
          files: list.filter(isGraph),
        },
      ],
      files: list.filter((file) => !isGraph(file)),
    },
    'the test',
  )
}
