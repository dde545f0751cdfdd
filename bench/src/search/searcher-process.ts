import { Agent, request } from 'node:http'
import { timed } from './filled.js'

/** Each question once, or all of them again and again for a while. */
export interface Order {
  readonly questions: readonly string[]
  /** Default 1. */
  readonly atATime?: number
  /** Default: each question once. */
  readonly seconds?: number
}

export interface Took {
  /** Of each answer, in milliseconds: until its JSON is read. */
  readonly times: readonly number[]
  readonly seconds: number
}

const [url = '', given] = process.argv.slice(2)
const k = Number(given)
const agent = new Agent({ keepAlive: true })

async function run({ questions, atATime = 1, seconds = 0 }: Order): Promise<Took> {
  const times: number[] = []
  const started = performance.now()
  const end = started + seconds * 1_000
  let next = 0
  const one = async () => {
    while (seconds === 0 ? next < questions.length : performance.now() < end) {
      const question = questions[next++ % questions.length] ?? ''
      times.push(await timed(() => search(question)))
    }
  }
  await Promise.all(Array.from({ length: atATime }, one))
  return { times, seconds: (performance.now() - started) / 1_000 }
}

async function search(query: string): Promise<void> {
  const answer: { readonly hits?: readonly unknown[] } = JSON.parse(await post(JSON.stringify({ query, k })))
  if (answer.hits?.length !== k) throw new Error(`not ${k} hits: ${JSON.stringify(answer)}`)
}

const post = (body: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const sent = request(url, { method: 'POST', agent, headers }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', reject)
      response.on('end', () => resolve(Buffer.concat(parts).toString('utf8')))
    })
    sent.on('error', reject)
    sent.end(body)
  })

process.on('message', (order: Order) => {
  run(order).then(
    (took) => process.send?.({ took }),
    (error: unknown) => process.send?.({ failed: String(error) }),
  )
})
process.on('disconnect', () => process.exit())
