import type { Db, Session } from '../connect.js'

/** One that is to take over as soon as it is built, and is built, as far as can be told at a glance. */
export interface DueSwitch {
  readonly id: number
  readonly domain: string
}

export const listDueSwitches = (on: Session): Promise<DueSwitch[]> =>
  on.query<DueSwitch>(
    `select g.id, d.name as domain
     from millrace.generations g
     join millrace.domains d on d.id = g.domain_id
     left join millrace.roles r on r.name = 'switch ' || g.id
     where g.state = 'building' and g.switch_when_built and not g.paused and g.filled_at is not null
       and coalesce(r.until, '-infinity') <= now()
       and (g.built_at is not null or not exists (
         select 1 from millrace.generation_documents s
         where s.generation_id = g.id and s.state in ('waiting', 'preparing', 'embedding')
       ))
     order by g.id`,
  )

export const switchRole = (generationId: number): string => `switch ${Number(generationId)}`

/** True for one caller until then, whichever process it is in: a gate takes its time, and one that refused is not asked at once. */
export async function takeSwitch(db: Db, generationId: number, seconds: number): Promise<boolean> {
  const rows = await db.query(
    `insert into millrace.roles as r (name, until) values ($1, now() + make_interval(secs => $2))
     on conflict (name) do update set until = excluded.until where r.until <= now() returning 1`,
    [switchRole(generationId), seconds],
  )
  return rows.length > 0
}

/** Says that its gate refused, and until when nobody tries again. */
const refusedRole = (generationId: number): string => `refused ${Number(generationId)}`

/** Nobody comes back before `seconds`; 0: it is nobody's. */
export async function leaveSwitch(db: Db, generationId: number, seconds: number): Promise<void> {
  const roles = [refusedRole(generationId), ...(seconds === 0 ? [switchRole(generationId)] : [])]
  await db.query('delete from millrace.roles where name = any($1)', [roles])
  if (seconds === 0) return
  await db.query(`update millrace.roles set until = now() + make_interval(secs => $2) where name = $1`, [
    switchRole(generationId),
    seconds,
  ])
}

/** Its gate refused: nobody comes back before `seconds`, unless `lookAgain` is called. */
export async function refuseSwitch(db: Db, generationId: number, seconds: number): Promise<void> {
  await db.query(
    `insert into millrace.roles (name, until) select name, now() + make_interval(secs => $2) from unnest($1::text[]) u (name)
     on conflict (name) do update set until = excluded.until`,
    [[refusedRole(generationId), switchRole(generationId)], seconds],
  )
}

/** Something that a gate's refusal rested on has changed: whoever switches by itself need not wait. */
export async function lookAgain(db: Db, generationId: number): Promise<void> {
  await db.query(
    `delete from millrace.roles where name = any($1) and exists (select 1 from millrace.roles where name = $2)`,
    [[refusedRole(generationId), switchRole(generationId)], refusedRole(generationId)],
  )
}

/** When a switch that is to happen by itself is tried again, of those whose gate refused it. */
export async function listRefusals(on: Session, generations: readonly number[]): Promise<Map<number, Date>> {
  const rows = await on.query<{ id: number; until: Date }>(
    `select u.id, r.until from unnest($1::bigint[]) u (id) join millrace.roles r on r.name = 'refused ' || u.id
     where r.until > '-infinity'`,
    [generations],
  )
  return new Map(rows.map(({ id, until }) => [id, until]))
}
