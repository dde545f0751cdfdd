import createClient from 'openapi-fetch'
import { language } from '../lib/language.ts'
import { session } from '../lib/session.ts'
import { problemOf } from './problem.ts'
import type { components, paths } from './schema'

export type { components, paths }

/** The public HTTP API, typed by its own description. */
export const api = createClient<paths>({ baseUrl: '' })

/** The headers of every call: the language of levels, and the key where one was given. */
export function headersOf(): Record<string, string> {
  const key = session.key.value
  return {
    'accept-language': language.value,
    ...(key === '' ? {} : { authorization: `Bearer ${key}` }),
  }
}

api.use({
  onRequest: ({ request }) => {
    for (const [name, value] of Object.entries(headersOf())) request.headers.set(name, value)
    return request
  },
})

/**
 * What a call answered.
 * @throws Problem what the API said instead; an abort is thrown as it is
 */
export async function answer<T>(
  call: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<T> {
  const { data, error, response } = await call
  if (response.ok) return data as T
  throw refusal(response, error)
}

/** For calls that openapi-fetch cannot make: streams and forms. */
export function refusal(response: Response, body: unknown) {
  if (response.status === 401) session.ask()
  return problemOf(response.status, body, response.headers.get('retry-after'))
}

type Json<T> = T extends { content: { 'application/json': infer Body } } ? Body : never
/** The body of a 200 answer: `Answer<'/v1/domains', 'get'>`. */
export type Answer<
  P extends keyof paths,
  M extends keyof paths[P],
  S extends number = 200,
> = paths[P][M] extends {
  responses: infer R
}
  ? S extends keyof R
    ? Json<R[S]>
    : never
  : never
/** The JSON body that a call takes. */
export type Body<P extends keyof paths, M extends keyof paths[P]> = paths[P][M] extends {
  requestBody?: infer B
}
  ? Json<NonNullable<B>>
  : never

export type Domain = Answer<'/v1/domains/{name}', 'get'>
export type Level = Domain['levels'][number]
