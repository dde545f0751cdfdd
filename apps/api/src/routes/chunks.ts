import { CodedError } from '@millrace/errors'
import { findDomain, type Preview, type PreviewBy, previewChunks, previewFile } from '@millrace/flow'
import type { FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import secureJson from 'secure-json-parse'
import { z } from 'zod'
import type { ApiDeps } from '../deps.js'
import { typeOf } from '../intake/multipart.js'
import { previewIn, previewOut, previewRest } from '../schemas/documents.js'
import { domainName, problems } from '../schemas/shared.js'

const SUMMARY =
  'The chunks that a text or a file would have, with their tokens and overlaps; nothing is stored'

export const chunkRoutes: FastifyPluginAsyncZod<ApiDeps> = async (app, deps) => {
  app.post(
    '/v1/domains/:name/chunks/preview',
    {
      schema: {
        summary: SUMMARY,
        tags: ['documents'],
        params: z.strictObject({ name: domainName }),
        body: previewIn.nullish(),
        response: { 200: previewOut, ...problems },
      },
    },
    async (request) =>
      show(await preview(request, deps, { domain: await findDomain(deps, request.params.name) })),
  )
  app.post(
    '/v1/chunks/preview',
    {
      schema: {
        summary: 'The same without a domain, as a new one would divide it',
        tags: ['documents'],
        querystring: z.strictObject({ model: z.string().optional() }),
        body: previewIn.nullish(),
        response: { 200: previewOut, ...problems },
      },
    },
    async (request) =>
      show(await preview(request, deps, { model: request.query.model ?? deps.defaultModel })),
  )
}

async function preview(request: FastifyRequest, deps: ApiDeps, by: PreviewBy): Promise<Preview> {
  const body = request.body as z.infer<typeof previewIn> | null | undefined
  if (body !== undefined && body !== null) return previewChunks(deps, by, body)
  if (!request.isMultipart()) {
    throw new CodedError('INVALID_REQUEST', 'body: Invalid input: expected object', {
      hint: 'Send {"text": …}, or a file as multipart/form-data',
    })
  }
  const { file, rest } = await receive(request, deps.settings.limits.fileBytes)
  return previewFile(deps, by, file, rest)
}

/** A file, and in a part `request` before or after it what JSON says beside the text. */
async function receive(request: FastifyRequest, fileBytes: number) {
  let rest: z.infer<typeof previewRest> = {}
  let file: { readonly name: string; readonly mediaType?: string; readonly bytes: Buffer } | undefined
  for await (const part of request.parts({ limits: { fileSize: fileBytes, files: 1 } })) {
    if (part.type === 'field') {
      rest = readRest(part.fieldname, part.value)
      continue
    }
    const bytes = await part.toBuffer()
    if (part.file.truncated) {
      throw new CodedError('BODY_TOO_LARGE', `The file has more than ${fileBytes} bytes, the limit`, {
        hint: 'FILE_BYTES_MAX is the setting',
      })
    }
    const mediaType = typeOf(part)
    file = { name: part.filename, bytes, ...(mediaType === null ? {} : { mediaType }) }
  }
  if (file === undefined) {
    throw new CodedError('INVALID_REQUEST', 'The form has no file', {
      hint: 'Send one part with a file name',
    })
  }
  return { file, rest }
}

function readRest(name: string, value: unknown): z.infer<typeof previewRest> {
  try {
    if (name !== 'request') throw new TypeError(`a part "${name.slice(0, 100)}" is not known`)
    return previewRest.parse(secureJson.parse(String(value), { protoAction: 'error' }))
  } catch (error) {
    const message = error instanceof z.ZodError ? (error.issues[0]?.message ?? '') : String(error)
    throw new CodedError('INVALID_REQUEST', `The part request cannot be read: ${message}`, {
      hint: 'Send JSON with title, chunking and cleaning, as GET /openapi.json describes them',
    })
  }
}

const show = (preview: Preview): z.infer<typeof previewOut> => ({
  ...preview,
  chunks: preview.chunks.map((chunk) => ({ ...chunk, headings: [...chunk.headings] })),
  parents: preview.parents.map((parent) => ({ ...parent, headings: [...parent.headings] })),
  warnings: [...preview.warnings],
})
