import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CodedError } from '@millrace/errors'
import { type Db, one, type Tx } from './connect.js'

/** The repository's migrations/, as seen from the compiled file. */
export const MIGRATIONS_DIR = fileURLToPath(new URL('../../../migrations/', import.meta.url))

interface Migration {
  readonly version: number
  readonly name: string
  readonly sql: string
  readonly checksum: string
}

/** Any constant will do, as long as every Millrace takes the same one. */
const LOCK = 6_455_725

/**
 * Brings the schema up to what this code knows, in one transaction: all of it or nothing, and of two
 * processes that start at once the second waits, then finds nothing left to do. Returns the names applied.
 *
 * @throws CodedError SCHEMA_TOO_NEW when a newer Millrace migrated this database, MIGRATION_ALTERED when an
 * applied file was changed afterwards, DATABASE_TOO_OLD for PostgreSQL < 16 or pgvector < 0.8.4.
 */
export async function migrate(db: Db, dir: string = MIGRATIONS_DIR): Promise<string[]> {
  const known = await readMigrations(dir)
  return db.transact(async (tx) => {
    await tx.query('select pg_advisory_xact_lock($1)', [LOCK])
    await requireServer(tx)
    await tx.query('create schema if not exists millrace')
    await tx.query(`create table if not exists millrace.migrations (
      version integer primary key,
      name text not null,
      checksum text not null,
      applied_at timestamptz(3) not null default now()
    )`)
    const applied = await tx.query<{ version: number; name: string; checksum: string }>(
      'select version, name, checksum from millrace.migrations order by version',
    )
    const missing = plan(known, applied)
    for (const migration of missing) {
      await tx.query(migration.sql)
      await tx.query('insert into millrace.migrations (version, name, checksum) values ($1, $2, $3)', [
        migration.version,
        migration.name,
        migration.checksum,
      ])
    }
    return missing.map((migration) => migration.name)
  })
}

/** What is left to apply, or why nothing may be applied. */
export function plan(
  known: readonly Migration[],
  applied: readonly { version: number; name: string; checksum: string }[],
): Migration[] {
  const byVersion = new Map(known.map((migration) => [migration.version, migration]))
  for (const row of applied) {
    const mine = byVersion.get(row.version)
    if (mine === undefined) {
      throw new CodedError(
        'SCHEMA_TOO_NEW',
        `The database has migration ${row.name}, this Millrace knows them up to ${known.at(-1)?.name}`,
        { hint: 'Start the Millrace version that migrated this database, or a later one' },
      )
    }
    if (mine.checksum !== row.checksum) {
      throw new CodedError('MIGRATION_ALTERED', `Migration ${row.name} was changed after it was applied`, {
        hint: 'Restore the file as released; changes to the schema go into a new migration',
      })
    }
  }
  const done = new Set(applied.map((row) => row.version))
  return known.filter((migration) => !done.has(migration.version))
}

export async function readMigrations(dir: string): Promise<Migration[]> {
  const names = (await readdir(dir)).filter((name) => /^\d{4}_[a-z0-9_]+\.sql$/.test(name)).sort()
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(join(dir, name), 'utf8')
      const checksum = createHash('sha256').update(sql.replaceAll('\r\n', '\n')).digest('hex')
      return { version: Number(name.slice(0, 4)), name, sql, checksum }
    }),
  )
}

async function requireServer(tx: Tx): Promise<void> {
  const server = one(
    await tx.query<{ number: number; version: string }>(
      `select current_setting('server_version_num')::int as number, current_setting('server_version') as version`,
    ),
    'server version',
  )
  if (server.number < 160_000) {
    throw new CodedError('DATABASE_TOO_OLD', `PostgreSQL ${server.version} is older than 16`, {
      hint: 'Upgrade the server, or unset DATABASE_URL to use the embedded database',
    })
  }
  await tx.query('create extension if not exists vector').catch((cause: unknown) => {
    throw new CodedError('PGVECTOR_MISSING', 'The database has no pgvector and it cannot be created', {
      hint: 'Install pgvector on the server, then let a superuser run: create extension vector',
      cause,
    })
  })
  const extension = one(
    await tx.query<{ version: string }>(
      `select extversion as version from pg_extension where extname = 'vector'`,
    ),
    'extension version',
  )
  const [major = 0, minor = 0, patch = 0] = extension.version.split('.').map(Number)
  if (major * 1e6 + minor * 1e3 + patch < 8_004) {
    throw new CodedError('DATABASE_TOO_OLD', `pgvector ${extension.version} is older than 0.8.4`, {
      hint: 'Install a newer pgvector, then run: alter extension vector update',
    })
  }
}
