import { randomBytes } from 'node:crypto'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Env } from '@millrace/flow'
import pg from 'pg'
import { madeDataDir } from './template.js'

/** A place of its own for one test file: the settings that lead there, and how to remove it. */
export interface Place {
  readonly env: Env
  remove(): Promise<void>
}

export interface Backend {
  readonly name: string
  readonly isServer: boolean
  open(): Promise<Place>
}

const embedded: Backend = {
  name: 'embedded',
  isServer: false,
  open: async () => {
    const dir = await mkdtemp(join(tmpdir(), 'millrace-'))
    await cp(await madeDataDir(), dir, { recursive: true })
    return { env: { DATA_DIR: dir }, remove: () => rm(dir, { recursive: true, force: true }) }
  },
}

/** A database of its own; the queue's keys begin with its name. */
async function openDatabase(serverUrl: string, rest: Env): Promise<Place> {
  const name = `millrace_${randomBytes(6).toString('hex')}`
  await asAdmin(serverUrl, `create database ${name}`)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return {
    env: { DATABASE_URL: url.href, QUEUE_PREFIX: name, ...rest },
    remove: () => asAdmin(serverUrl, `drop database if exists ${name} with (force)`),
  }
}

async function asAdmin(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}

/** Every way to run that this machine can: embedded always, servers where there are some. */
export function backends(): Backend[] {
  const { TEST_DATABASE_URL: database, TEST_REDIS_URL: redis } = process.env
  if (!database || !redis) return [embedded]
  return [
    embedded,
    { name: 'Postgres and Redis', isServer: true, open: () => openDatabase(database, { REDIS_URL: redis }) },
    { name: 'Postgres alone', isServer: true, open: () => openDatabase(database, {}) },
  ]
}

/** One of each kind of database, for what has nothing to do with the queue. */
export const databases = (): Backend[] => backends().slice(0, 2)

/** The servers, for what only they can do. Undefined where there are none: setup.ts has said so. */
export const servers = (): Backend | undefined =>
  backends().find((backend) => backend.name === 'Postgres and Redis')
