import { reactive } from 'vue'
import { answer, api } from '../../api/client.ts'
import { asProblem } from '../../api/problem.ts'
import { say } from '../../lib/toasts.ts'
import type { SearchLink } from './link.ts'
import { parseFilter } from './request.ts'

type Asked = Pick<SearchLink, 'q' | 'filter'>

export const goldenKey = (domain: string, { q, filter }: Asked, documentId: string): string =>
  JSON.stringify([domain, q, filter, documentId])

type Say = (
  key: 'goldenDone' | 'goldenFailed',
  values: Readonly<Record<string, string | number>>,
  plural?: number,
) => string

/** What was added in this visit; the golden set itself keeps what was there before. */
const added = reactive(new Set<string>())

/** Adds what was asked, with the document that answers it, to the domain's golden set. */
export function useGolden(t: Say) {
  const add = async (domain: string, asked: Asked, documentId: string) => {
    const filter = parseFilter(asked.filter)
    const question = {
      question: asked.q,
      documentId,
      ...(filter === undefined ? {} : { filter: { ...filter } }),
    }
    try {
      const done = await answer(
        api.POST('/v1/domains/{name}/golden', {
          params: { path: { name: domain }, query: { merge: 'true' } },
          body: { questions: [question] },
        }),
      )
      const [refused] = done.rejected
      if (refused !== undefined) return say(refused.message, 'bad')
      added.add(goldenKey(domain, asked, documentId))
      say(t('goldenDone', { id: documentId, n: done.total }, done.total))
    } catch (error) {
      say(t('goldenFailed', { message: asProblem(error).message }), 'bad')
    }
  }
  return { added, add }
}
