import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CodedError } from '@millrace/errors'
import type { Env } from '@millrace/flow'
import pg from 'pg'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** A path below the folder with real data, which the repository does not contain. */
export function shared(...path: string[]): string {
  const folder = resolve(ROOT, process.env.MILLRACE_SHARED ?? '../shared')
  if (!existsSync(folder)) {
    throw new CodedError('NO_SHARED', `${folder} does not exist: what needs its data does not run`, {
      hint: 'Set MILLRACE_SHARED',
    })
  }
  return join(folder, ...path)
}

/** A database of its own on the servers of TEST_DATABASE_URL and TEST_REDIS_URL. */
export async function openServers(): Promise<{ readonly env: Env; remove(): Promise<void> }> {
  const { TEST_DATABASE_URL: database, TEST_REDIS_URL: redis } = process.env
  if (!database || !redis) {
    throw new CodedError(
      'NO_SERVERS',
      'TEST_DATABASE_URL and TEST_REDIS_URL are not set: figures on servers do not run',
    )
  }
  const name = `millrace_bench_${randomBytes(4).toString('hex')}`
  const admin = async (statement: string) => {
    const client = new pg.Client({ connectionString: database })
    await client.connect()
    await client.query(statement)
    await client.end()
  }
  await admin(`create database ${name}`)
  const url = new URL(database)
  url.pathname = `/${name}`
  return {
    env: { DATABASE_URL: url.href, REDIS_URL: redis, QUEUE_PREFIX: name, PORT: '0', LOG_LEVEL: 'info' },
    remove: () => admin(`drop database if exists ${name} with (force)`),
  }
}
