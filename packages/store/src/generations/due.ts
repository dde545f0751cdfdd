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

/** Nobody comes back before `seconds`; 0: it is nobody's. */
export async function leaveSwitch(db: Db, generationId: number, seconds: number): Promise<void> {
  if (seconds === 0) {
    await db.query('delete from millrace.roles where name = $1', [switchRole(generationId)])
    return
  }
  await db.query(`update millrace.roles set until = now() + make_interval(secs => $2) where name = $1`, [
    switchRole(generationId),
    seconds,
  ])
}
