import { one, type Session, type Tx } from './connect.js'

/** A question, what it may be limited to, and the documents that answer it. */
export interface GoldenQuestion {
  readonly externalId: string
  readonly question: string
  readonly filter: Readonly<Record<string, unknown>>
  readonly documents: readonly string[]
  readonly note: string | null
}

export interface NewQuestion extends Omit<GoldenQuestion, 'externalId'> {
  /** Null: that of the question it replaces, else `made`. */
  readonly id: string | null
  readonly made: string
  readonly hash: Buffer
}

export interface GoldenWritten {
  readonly added: number
  readonly replaced: number
  /** They were there just so. */
  readonly unchanged: number
  readonly removed: number
  readonly total: number
}

/** Questions of a domain whose document is not in it. */
export interface MissingDocument {
  readonly id: string
  readonly question: string
  readonly documentId: string
}

/** One writer of a domain's set at a time; false when the domain is gone. Nobody else waits: it is no key of the row. */
export async function lockSet(tx: Tx, domainId: number): Promise<boolean> {
  const found = await tx.query('select 1 from millrace.domains where id = $1 for no key update', [domainId])
  return found.length > 0
}

/** What the questions with these hashes have already, by hash in hexadecimal. */
export async function goldenByHash(
  on: Session,
  domainId: number,
  hashes: readonly Buffer[],
): Promise<Map<string, Pick<NewQuestion, 'documents' | 'note'>>> {
  const rows = await on.query<{ hash: string; documents: string[]; note: string | null }>(
    `select encode(question_hash, 'hex') as hash, documents, note
     from millrace.golden where domain_id = $1 and question_hash = any($2)`,
    [domainId, hashes],
  )
  return new Map(rows.map(({ hash, ...rest }) => [hash, rest]))
}

/**
 * Writes questions over those that have their id or ask the same; with `replace` over the whole set. Undefined when the
 * domain is gone.
 */
export async function putGolden(
  tx: Tx,
  domainId: number,
  questions: readonly NewQuestion[],
  replace: boolean,
): Promise<GoldenWritten | undefined> {
  if (!(await lockSet(tx, domainId))) return undefined
  const given = JSON.stringify(
    questions.map(({ hash, ...rest }, n) => ({ ...rest, n, hash: hash.toString('hex') })),
  )
  // A data-modifying WITH sees the set as it was: ids are taken over before what had them goes.
  const gone = await tx.query<Gone>(
    `with given as (
       select g.n, g.id, decode(g.hash, 'hex') as hash
       from jsonb_to_recordset($2::jsonb) as g (n int, id text, hash text)
     )
     delete from millrace.golden t using (
       select s.id, s.external_id, by_hash.n as position, by_hash.n is not null or by_id.n is not null as named
       from millrace.golden s
       left join given by_hash on by_hash.hash = s.question_hash
       left join given by_id on by_id.id = s.external_id
       where s.domain_id = $1
     ) old
     where t.id = old.id and (old.named or $3)
     returning old.position, old.external_id as "externalId", t.documents, t.note`,
    [domainId, given, replace],
  )
  const kept = new Map(
    gone.flatMap(({ position, externalId }) => (position === null ? [] : [[position, externalId] as const])),
  )
  const others = await tx.query<{ id: string }>(
    'select external_id as id from millrace.golden where domain_id = $1 and external_id = any($2)',
    [domainId, questions.map(({ made }) => made)],
  )
  const ids = chooseIds(questions, kept, new Set(others.map(({ id }) => id)))
  await tx.query(
    `insert into millrace.golden (domain_id, external_id, question, question_hash, filter, documents, note)
     select $1, g."externalId", g.question, decode(g.hash, 'hex'), g.filter, g.documents, g.note
     from jsonb_to_recordset($2::jsonb)
       as g ("externalId" text, question text, hash text, filter jsonb, documents text[], note text)`,
    [
      domainId,
      JSON.stringify(
        questions.map(({ hash, question, filter, documents, note }, n) => ({
          externalId: ids[n],
          question,
          hash: hash.toString('hex'),
          filter,
          documents,
          note,
        })),
      ),
    ],
  )
  const total = await countGolden(tx, domainId)
  const written = new Set(ids)
  const before = new Set(gone.map(({ externalId }) => externalId))
  const added = ids.filter((id, n) => !kept.has(n) && !before.has(id)).length
  const unchanged = gone.filter((old) => isUnchanged(old, questions, ids)).length
  const removed = gone.filter(
    ({ position, externalId }) => position === null && !written.has(externalId),
  ).length
  return { added, replaced: ids.length - added - unchanged, unchanged, removed, total }
}

/** A question that was taken out to be written again, or to be gone. */
interface Gone extends Pick<GoldenQuestion, 'externalId' | 'documents' | 'note'> {
  /** Of the one that asks the same. */
  readonly position: number | null
}

function isUnchanged(old: Gone, questions: readonly NewQuestion[], ids: readonly string[]): boolean {
  const now = old.position === null ? undefined : questions[old.position]
  if (now === undefined || old.position === null || ids[old.position] !== old.externalId) return false
  return now.note === old.note && JSON.stringify(now.documents) === JSON.stringify(old.documents)
}

/** The id that was given, else that of the question it replaces, else one made of the question; none twice. */
function chooseIds(
  questions: readonly NewQuestion[],
  kept: ReadonlyMap<number, string>,
  others: ReadonlySet<string>,
): readonly string[] {
  const taken = new Set([...others, ...questions.flatMap(({ id }) => (id === null ? [] : [id]))])
  const known = questions.map(({ id }, n) => {
    const before = kept.get(n)
    if (id !== null || before === undefined || taken.has(before)) return id
    taken.add(before)
    return before
  })
  return known.map((id, n) => {
    const { made = '', hash } = questions[n] ?? {}
    if (id !== null) return id
    // Somebody gave that id to another question: the whole hash, which nobody has.
    const chosen = taken.has(made) ? (hash?.toString('hex') ?? made) : made
    taken.add(chosen)
    return chosen
  })
}

export async function countGolden(on: Session, domainId: number): Promise<number> {
  const rows = await on.query<{ count: number }>(
    'select count(*)::int as count from millrace.golden where domain_id = $1',
    [domainId],
  )
  return one(rows, 'the size of a set').count
}

const COLUMNS = 'external_id as "externalId", question, filter, documents, note'

export const listGolden = (
  on: Session,
  domainId: number,
  page: { readonly after?: string | undefined; readonly limit: number },
): Promise<GoldenQuestion[]> =>
  on.query<GoldenQuestion>(
    `select ${COLUMNS} from millrace.golden
     where domain_id = $1 and ($2::text is null or external_id > $2) order by external_id limit $3`,
    [domainId, page.after ?? null, page.limit],
  )

/** False when there is none of that id. */
export async function deleteGolden(on: Session, domainId: number, id: string): Promise<boolean> {
  const gone = await on.query(
    'delete from millrace.golden where domain_id = $1 and external_id = $2 returning 1',
    [domainId, id],
  )
  return gone.length > 0
}

/** How many there were. */
export async function clearGolden(on: Session, domainId: number): Promise<number> {
  const gone = await on.query<{ count: number }>(
    `with gone as (delete from millrace.golden where domain_id = $1 returning 1)
     select count(*)::int as count from gone`,
    [domainId],
  )
  return one(gone, 'what went').count
}

/** Of these questions, the documents that are not there; the first `limit`, and how many in all. */
export async function missingDocuments(
  on: Session,
  domainId: number,
  hashes: readonly Buffer[],
  limit: number,
): Promise<{ readonly missing: readonly MissingDocument[]; readonly total: number }> {
  const rows = await on.query<MissingDocument & { total: number }>(
    `select g.external_id as id, g.question, e.id as "documentId", count(*) over ()::int as total
     from millrace.golden g cross join lateral unnest(g.documents) with ordinality as e (id, n)
     where g.domain_id = $1 and g.question_hash = any($2) and not exists (
       select 1 from millrace.documents d where d.domain_id = $1 and d.external_id = e.id
     )
     order by g.external_id, e.n limit $3`,
    [domainId, hashes, limit],
  )
  return { missing: rows.map(({ total: _, ...row }) => row), total: rows[0]?.total ?? 0 }
}

/** What is wrong with each filter, as JSON, by the rules of searches; null: nothing. */
export async function filterProblems(on: Session, filters: readonly string[]): Promise<(string | null)[]> {
  if (filters.length === 0) return []
  const rows = await on.query<{ problem: string | null }>(
    `select millrace.filter_problem(f.filter::jsonb) as problem
     from unnest($1::text[]) with ordinality as f (filter, n) order by f.n`,
    [filters],
  )
  return rows.map(({ problem }) => problem)
}
