import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GenericContainer, getContainerRuntimeClient, type StartedTestContainer } from 'testcontainers'

/** Before all tests: a place for what is made once a run (template.ts), and servers. */
export default async function setup(): Promise<() => Promise<void>> {
  // Each project of vitest.config.ts asks for it; one is enough.
  if (process.env.TEST_MADE_ONCE !== undefined) return async () => undefined
  const room = await mkdtemp(join(tmpdir(), 'millrace-made-'))
  process.env.TEST_MADE_ONCE = room
  const stopServers = await startServers()
  return async () => {
    await Promise.all([rm(room, { recursive: true, force: true }), stopServers()])
  }
}

const NOTHING_TO_STOP = async () => undefined

/**
 * Real servers from TEST_DATABASE_URL and TEST_REDIS_URL, else from Docker. With neither,
 * one line says what does not run; with CI=true that is a failure.
 */
async function startServers(): Promise<() => Promise<unknown>> {
  if (process.env.TEST_DATABASE_URL && process.env.TEST_REDIS_URL) return NOTHING_TO_STOP
  try {
    await getContainerRuntimeClient()
  } catch {
    const message =
      'Tests on real servers do not run: TEST_DATABASE_URL and TEST_REDIS_URL are not set and there is no Docker'
    if (process.env.CI === 'true') throw new Error(message)
    console.log(message)
    return NOTHING_TO_STOP
  }
  const [postgres, redis] = await Promise.all([
    new GenericContainer('pgvector/pgvector:0.8.7-pg18')
      .withEnvironment({ POSTGRES_PASSWORD: 'test' })
      .withExposedPorts(5432)
      .withHealthCheck({ test: ['CMD-SHELL', 'pg_isready -U postgres'], interval: 1_000, retries: 60 })
      .start(),
    new GenericContainer('redis:8')
      .withCommand(['redis-server', '--maxmemory-policy', 'noeviction', '--appendonly', 'yes'])
      .withExposedPorts(6379)
      .start(),
  ])
  const at = (container: StartedTestContainer, port: number) =>
    `${container.getHost()}:${container.getMappedPort(port)}`
  process.env.TEST_DATABASE_URL = `postgres://postgres:test@${at(postgres, 5432)}/postgres`
  process.env.TEST_REDIS_URL = `redis://${at(redis, 6379)}`
  return () => Promise.all([postgres.stop(), redis.stop()])
}
